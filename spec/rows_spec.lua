-- podero.command.rows, which writes users as CSV and JSON for the command and for the site.

local expected = require "spec.support.rows"
local helper = require "spec.support.helper"
local podero = require "podero"
local rows = require "podero.command.rows"

local FIELDS = rows.schema()
local ROUNDS = tonumber(os.getenv "SPARSE") and 100 or 1500

-- random users --------------------------------------------------------------------------------------------------------

-- Parts of texts: characters that JSON, CSV, spreadsheets or terminals treat specially, some cut off.
local PIECES = {
  "a", "zz", "\195\164", "\240\159\153\130", " ", "  ", "'", "''", "\"", ",", ";", "\t", "\r", "\n", "\r\n", "|", "\\",
  "/", "=", "+", "-", "@", "\239\188\139", "\239\188\141", "\239\188\157", "\239\188\160", "\239\188\161", "\194\160",
  "\194",
  "\226\128\128", "\226\128\143", "\226\128\175", "\226\128\170", "\226\128\174", "\226\128\176", "\226\129\159",
  "\226\129\164", "\226\129\165", "\226\129\166", "\226\129\169", "\226\129\170", "\226\128\142", "\226\128", "\226",
  "\227\128\128", "\227\128", "\239\187\191", "\239\188", "\194\128", "\194\155", "\194\159", "\194\161", "\127",
  "\0", "\1", "\8", "\11", "\12", "\27[31m", "\31", "\255", "\128", "1", "0",
}

local NUMBERS = {
  0, 1, -1, 0.1, -9.139337, 48.208493123456789, 1e-7, 1e15, 1e16, 2 ^ 53, -2 ^ 53, 2 ^ 53 + 2, 2 ^ 62, -2 ^ 63, 2 ^ 63,
  1e17, 1e19, 1e300, -1e300, 5e-324, 2.5e-310, 1 / 3, 123456.789, -0.0, 1.7976931348623157e308,
}
if math.type then
  for _, integer in ipairs { math.maxinteger, math.mininteger, 9007199254740993 } do
    NUMBERS[#NUMBERS + 1] = integer
  end
end

local function pick(list) return list[math.random(#list)] end

local function text()
  local pieces = {}
  for i = 1, math.random(0, math.random(8)) do pieces[i] = pick(PIECES) end
  return table.concat(pieces)
end

local function number()
  if math.random(3) == 1 then return pick(NUMBERS) end
  if math.random(2) == 1 then return math.random(-1000, 1000) end
  return (math.random() - 0.5) * 10 ^ math.random(-30, 30)
end

local value

local function array(depth)
  local list = {}
  for i = 1, math.random(0, 3) do list[i] = value(depth + 1) end
  return list
end

local function object(depth)
  local members = {}
  for _ = 1, math.random(0, 4) do members[text()] = value(depth + 1) end
  return members
end

local function nothing() end

local MAKERS = {
  text, text, text, number, function() return math.random(2) == 1 end, function() return podero.null end, array, object,
  function() return pick { nothing, io.stdout, coroutine.create(nothing) } end,
}

function value(depth)
  local maker = depth < 5 and pick(MAKERS) or text
  return maker(depth)
end

--- A user with some fields, mostly of the right type, and often with other keys.
local function user()
  local result = {}
  for _, name in ipairs(FIELDS) do
    local chance = math.random(10)
    if chance <= 6 then
      result[name] = text()
    elseif chance <= 9 then
      result[name] = value(0)
    end
  end
  for _ = 1, math.random(-2, 3) do result[pick { "x", "more", "Z", text(), "id_" }] = value(0) end
  return result
end

--- Compares a writer's output for these users with `lines`.
local function compare(writer, users, lines)
  for i, one in ipairs(users) do
    writer:add(one)
    assert.equal(("%q"):format(lines[i]), ("%q"):format(writer:take()))
  end
end

describe("rows", function()
  local users = {}

  setup(function()
    math.randomseed(os.time())
    for i = 1, ROUNDS do users[i] = user() end
  end)

  local function lines(make, ...)
    local list = {}
    for i, one in ipairs(users) do list[i] = make(one, ...) end
    return list
  end

  local COLUMNS = { "email", "more", "first_name", "nothing", "", "a,b", "=x" }

  it("are JSON with the fields of the schema and other keys", function()
    compare(rows.json {}, users, lines(expected.json_line, nil, FIELDS))
  end)

  it("are JSON with the requested columns", function()
    compare(rows.json { columns = COLUMNS }, users, lines(expected.json_line, COLUMNS))
  end)

  for name, delimiter in pairs { commas = ",", semicolons = ";", tabs = "\t", bars = "|", blanks = " " } do
    it("are CSV with " .. name, function()
      for _, columns in ipairs { FIELDS, COLUMNS } do
        local writer = rows.csv { columns = columns ~= FIELDS and columns or nil, delimiter = delimiter }
        local titles = {}
        for _, title in ipairs(columns) do titles[title] = title end
        assert.equal(expected.csv_line(titles, columns, delimiter), writer:take())
        compare(writer, users, lines(expected.csv_line, columns, delimiter))
      end
    end)
  end

  it("are collected until they are taken", function()
    local writer = rows.json { columns = { "id" } }
    assert.equal("", writer:take())
    assert.equal(11, writer:add { id = "a" })
    assert.equal(22, writer:add { id = "b" })
    assert.equal('{"id":"a"}\n{"id":"b"}\n', writer:take())
    writer:finish()
    assert.equal("", writer:take())
  end)

  it("are one array, which ends when it is finished", function()
    local writer = rows.json { is_array = true, columns = { "id" } }
    writer:add { id = "a" }
    assert.equal('[\n{"id":"a"}', writer:take())
    writer:add { id = "b" }
    writer:finish()
    assert.equal(',\n{"id":"b"}\n]\n', writer:take())
    writer = rows.json { is_array = true }
    writer:finish()
    assert.equal("[]\n", writer:take())
  end)

  it("begin with a byte order mark on request", function()
    assert.equal("\239\187\191id\r\n", rows.csv({ columns = { "id" }, bom = true }):take())
  end)

  it("are left out completely if they raise an error", function()
    local deep = {}
    for _ = 1, 600 do deep = { deep } end
    local loop = {}
    loop.loop = loop
    for _, bad in ipairs { deep, loop, { x = { [2] = 1 } }, { x = { [true] = 1 } }, { x = { [1.5] = 1 } } } do
      for _, new in ipairs { rows.csv, rows.json } do
        local writer = new { columns = { "id", "more" } }
        writer:take()
        writer:add { id = "a", more = 1 }
        assert.has_error(function() writer:add { id = "b", more = bad } end)
        writer:add { id = "c", more = 2 }
        local first, second = writer:take():match("^([^\n]+)\n([^\n]+)\n$")
        assert.truthy(first:find("a", 1, true) and second:find("c", 1, true))
      end
    end
  end)

  it("raise an error for wrong options and values", function()
    assert.has_error(function() rows.csv() end)
    assert.has_error(function() rows.csv { delimiter = "" } end)
    assert.has_error(function() rows.csv { delimiter = "ab" } end)
    assert.has_error(function() rows.csv { columns = "id" } end)
    assert.has_error(function() rows.json { columns = { "id", 5 } } end)
    local writer = rows.json {}
    for _, wrong in ipairs { "id", 5, true } do assert.has_error(function() writer:add(wrong) end) end
    assert.has_error(function() writer:add() end)
    assert.has_error(function() writer.add({}, {}) end)
    assert.has_error(function() rows.encode() end)
  end)

  it("leak no memory if a writer is dropped or raises an error", function()
    local long, loop = ("x"):rep(1e6), {}
    loop[1] = loop
    local function use()
      local writer = rows.csv { columns = { "a", "b" } }
      writer:add { a = long, b = { long } }
      pcall(writer.add, writer, { a = long, b = { long, loop } })
      pcall(rows.encode, { long, loop })
      collectgarbage()
      collectgarbage()
    end
    local function size() return tonumber(helper.read("/proc/self/status"):match("VmRSS:%s+(%d+)")) end
    for _ = 1, 5 do use() end
    local before = size()
    for _ = 1, 100 do use() end -- at least 500 MB if one buffer of each leaked
    assert.is_true(size() - before < 50000, size() - before)
  end)
end)

describe("a value as JSON", function()
  it("is the same as in rows", function()
    for _ = 1, ROUNDS do
      local one = value(0)
      local json = expected.encode(one)
      assert.equal(json, rows.encode(one))
      assert.equal(type(one) == "string" and one or json, rows.text(one))
    end
    assert.equal("", rows.text(nil))
  end)
end)

describe("a date-time", function()
  it("is shown in UTC, to the minute", function()
    for time, minute in pairs {
      ["2025-02-28T23:59:59.999+02:00"] = "2025-02-28 21:59", ["2024-02-29T00:00:00Z"] = "2024-02-29 00:00",
      ["1969-12-31t23:59:59.5z"] = "1969-12-31 23:59", ["2016-12-31T23:59:60Z"] = "2017-01-01 00:00",
      ["2025-02-29T00:00:00Z"] = false, ["2025-02-28"] = false, [""] = false,
    } do
      assert.equal(minute or nil, rows.minute(time), time)
    end
  end)
end)

describe("a text for a spreadsheet", function()
  it("is guarded as in rows", function()
    for _ = 1, ROUNDS do
      local one = text()
      assert.equal(expected.guarded(one), rows.guarded(one))
    end
  end)
end)
