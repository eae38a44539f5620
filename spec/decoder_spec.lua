-- Decoding lists of users, through decoder.decode and decoder.stream.
local decoder = require "decoder"
local cjson = require "cjson".new()
local mutate = require "spec.support.mutate"
local oracle = require "spec.support.oracle"

-- The random cases differ from run to run; SEED=… repeats a run.
local seed = tonumber(os.getenv "SEED") or os.time()
math.randomseed(seed)

-- Only one case in STEP is tried: under valgrind each takes thirty times as long.
local STEP = tonumber(os.getenv "SPARSE") or 1

local null = cjson.null
local same = oracle.same
local unpack = table.unpack or unpack

-- Fields as JSON, in the order of the API.
local FULL = {
  { "id", '"016b78a7-0c7c-4241-a277-015c3ad3cb90"' },
  { "organization_id", '"9a3b78a7-0c7c-4241-a277-015c3ad3cb90"' },
  { "external_user_id", '"C-1"' },
  { "role", '"user"' },
  { "email", '"anna@example.com"' },
  { "first_name", '"Zo\195\171"' },
  { "last_name", '"O\\u0027Neill \\"Z\\""' },
  { "is_onboarded", "true" },
  { "street_and_number", '"Hauptstra\195\159e 1"' },
  { "street_add_info", '"T\\u00fcr 2"' },
  { "zip_code", '"1010"' },
  { "town", '"Wien"' },
  { "country", '"Austria"' },
  { "latitude", "48.208174" },
  { "longitude", "16" },
  { "last_login", '"2024-05-01T12:34:56.123456Z"' },
  { "num_inverters", "1" },
  { "num_heat_pumps", "0" },
  { "num_electric_vehicles", "12" },
  { "num_wallboxes", "3" },
  { "joined_at", '"2023-01-01T00:00:00+00:00"' },
}

local FULL_USER = {
  id = "016b78a7-0c7c-4241-a277-015c3ad3cb90",
  organization_id = "9a3b78a7-0c7c-4241-a277-015c3ad3cb90",
  external_user_id = "C-1",
  role = "user",
  email = "anna@example.com",
  first_name = "Zo\195\171",
  last_name = "O'Neill \"Z\"",
  is_onboarded = true,
  street_and_number = "Hauptstra\195\159e 1",
  street_add_info = "T\195\188r 2",
  zip_code = "1010",
  town = "Wien",
  country = "Austria",
  latitude = 48.208174,
  longitude = 16.0,
  last_login = "2024-05-01T12:34:56.123456Z",
  num_inverters = 1,
  num_heat_pumps = 0,
  num_electric_vehicles = 12,
  num_wallboxes = 3,
  joined_at = "2023-01-01T00:00:00+00:00",
}

local REQUIRED = { "id", "organization_id", "role", "email", "num_inverters", "num_heat_pumps",
  "num_electric_vehicles", "num_wallboxes" }

local INTEGERS = { num_inverters = true, num_heat_pumps = true, num_electric_vehicles = true,
  num_wallboxes = true }

-- The JSON of a user with all fields, or those in `only`. `changes` maps names to other JSON, or to false to leave them
-- out; `extra` is appended.
local function json(changes, extra, only)
  local parts = {}
  for _, field in ipairs(FULL) do
    local name, value = field[1], field[2]
    if changes and changes[name] ~= nil then value = changes[name] end
    if only and not only[name] then value = false end
    if value then parts[#parts + 1] = ('"%s":%s'):format(name, value) end
  end
  parts[#parts + 1] = extra
  return "{" .. table.concat(parts, ",") .. "}"
end

local function random_sizes(most)
  local sizes = {}
  for i = 1, math.random(1, 12) do sizes[i] = math.random(1, most) end
  return sizes
end

-- Decodes a text whole, in pieces and user by user. All outcomes have to be the same; returns it.
local function decode(text, validate, limit)
  local options = { copy = true, user_limit = limit }
  local each = { copy = true, user_limit = limit, each = true }
  local first = { decoder.decode(text, validate, nil, options) }
  local function check(pieces, how)
    local other = { decoder.decode(text, validate, pieces, how) }
    for i = 1, 6 do
      if not same(first[i], other[i]) then
        error(("in pieces of %s: %s, not %s"):format(type(pieces) == "table"
          and table.concat(pieces, ",") or tostring(pieces), tostring(other[i]),
          tostring(first[i])), 0)
      end
    end
  end
  check(nil, each)
  check(1, options)
  check(1, each)
  for i = math.random(STEP), math.min(#text - 1, 700), STEP do
    check({ i, #text }, i % 2 == 0 and options or each)
  end
  for _ = 1, 5 do
    check(random_sizes(60), options)
    check(random_sizes(60), each)
  end
  return unpack(first, 1, 6)
end

local function users_of(text, validate)
  local users, kind, message = decode(text, validate)
  if not users then error(kind .. ": " .. message, 2) end
  return users
end

local function copy(t, changes)
  local new = {}
  for k, v in pairs(t) do new[k] = v end
  for k, v in pairs(changes or {}) do new[k] = v end
  for k, v in pairs(new) do
    if v == null then new[k] = nil end
  end
  return new
end

describe("the user decoder", function()
  it("decodes every field of the schema", function()
    local users = users_of("[" .. json() .. "]", true)
    assert.is_true(same({ FULL_USER }, users))
    assert.is_true(same({}, users_of("[]", true)))
    assert.is_true(same({}, users_of(" [ ] ", true)))
    local user = users[1]
    if math.type then
      for name in pairs(INTEGERS) do assert.equal("integer", math.type(user[name])) end
      assert.equal("float", math.type(user.latitude))
      assert.equal("float", math.type(user.longitude))
    end
  end)

  it("leaves out null and absent fields", function()
    local only = {}
    for _, name in ipairs(REQUIRED) do only[name] = true end
    local nulls, expected = {}, {}
    for name, value in pairs(FULL_USER) do
      if only[name] then expected[name] = value else nulls[name] = "null" end
    end
    local users = users_of("[" .. json(nulls) .. "," .. json(nil, nil, only) .. "]", true)
    assert.is_true(same({ expected, expected }, users))
    for _, field in ipairs(FULL) do
      if not only[field[1]] then
        assert.is_true(same({ copy(FULL_USER, { [field[1]] = null }) },
          users_of("[" .. json { [field[1]] = "null" } .. "]", true)))
        assert.is_true(same({ copy(FULL_USER, { [field[1]] = null }) },
          users_of("[" .. json { [field[1]] = false } .. "]", true)))
      end
    end
  end)

  it("accepts keys in any order, with white space, and with escapes", function()
    for _ = 1, 10 do
      local parts = {}
      for _, field in ipairs(FULL) do
        table.insert(parts, math.random(1, #parts + 1),
          ('\r\n\t"%s" : %s '):format(field[1], field[2]))
      end
      local text = " [ {" .. table.concat(parts, ",") .. "} ,{" .. table.concat(parts, ",") .. "}]"
      assert.is_true(same({ FULL_USER, FULL_USER }, users_of(text, true)))
    end
    local text = json():gsub('"id"', '"\\u0069d"'):gsub('"role"', '"rol\\u0065"')
    assert.is_true(same({ FULL_USER }, users_of("[" .. text .. "]", true)))
    text = json():gsub('":', '": '):gsub(',"', ', "') -- as Python writes it
    assert.is_true(same({ FULL_USER, FULL_USER }, users_of("[" .. text .. ", " .. text .. "]", true)))
  end)

  it("keeps keys that the schema lacks", function()
    local extra = [=["country_iso2":"AT","n":7,"f":1.5,"t":true,"e":false,"nothing":null,]=]
      .. [=["list":[1,null,[],{},[null,null,"x"]],"object":{"a":null,"b":{"c":[{"d":null,"e":2}]}},]=]
      .. [=["id ":"x","i":"y","":0]=]
    local expected = copy(FULL_USER, { country_iso2 = "AT", n = 7, f = 1.5, t = true, e = false,
      list = { 1, null, {}, {}, { null, null, "x" } }, object = { b = { c = { { e = 2 } } } },
      ["id "] = "x", i = "y", [""] = 0 })
    local text = json(nil, extra)
    assert.is_true(same({ expected }, users_of("[" .. text .. "]", true)))
    assert.is_true(same({ expected }, users_of("[" .. text .. "]", false)))
    -- Before the fields of the schema, and in some users only.
    text = "{" .. extra .. "," .. json():sub(2)
    assert.is_true(same({ FULL_USER, expected, FULL_USER, expected },
      users_of("[" .. json() .. "," .. text .. "," .. json() .. "," .. text .. "]", true)))
    assert.is_true(same({ FULL_USER }, users_of("[" .. json(nil, '"x":null') .. "]", true)))
    -- A null inside an array is cjson.null.
    local users = users_of("[" .. json(nil, '"x":[null]') .. "]", true)
    assert.is_true(users[1].x[1] == null)
  end)

  it("keeps integers and floats of other keys apart", function()
    local users = users_of([=[[{"x":[1,-0,2.0,9223372036854775807,9223372036854775808,1e2]}]]=],
      false)
    local x = users[1].x
    assert.is_true(x[1] == 1 and x[2] == 0 and 1 / x[2] < 0 and x[3] == 2 and x[6] == 100)
    if math.type then
      local types = {}
      for i, v in ipairs(x) do types[i] = math.type(v) end
      assert.same({ "integer", "float", "float", "integer", "float", "float" }, types)
    end
  end)

  it("keeps a role that the schema lacks", function()
    for _, role in ipairs { "admin", "staff", "user", "guest", "owner", "", "User", "users", "use" } do
      assert.equal(role, users_of("[" .. json { role = '"' .. role .. '"' } .. "]", true)[1].role)
    end
  end)

  it("reads values that repeat or nearly repeat", function()
    local list, expected = {}, {}
    for i, town in ipairs { "a", "a", "b", "", "", "a", "ab", "a", "\195\164", "\195\164" } do
      list[i] = json { country = '"' .. town .. '"', organization_id = '"' .. town .. '"' }
      expected[i] = copy(FULL_USER, { country = town, organization_id = town })
    end
    assert.is_true(same(expected, users_of("[" .. table.concat(list, ",") .. "]", true)))
  end)

  it("uses the last of equal keys", function()
    local function case(extra, changes)
      assert.is_true(same({ copy(FULL_USER, changes) },
        users_of("[" .. json(nil, extra) .. "]", true)))
    end
    case('"email":"x"', { email = "x" })
    case('"email":"x","email":"y","id":"z"', { email = "y", id = "z" })
    case('"town":null', { town = null })
    case('"town":null,"town":"x"', { town = "x" })
    case('"town":"x","town":null,"town":null', { town = null })
    case('"num_inverters":5,"latitude":1,"latitude":null,"latitude":2', { num_inverters = 5,
      latitude = 2.0 })
    case('"x":1,"x":2', { x = 2 })
    case('"x":1,"x":null', {})
    case('"x":null,"x":[1],"x":{"y":1,"y":2,"z":1,"z":null}', { x = { y = 2 } })
    -- All fields, repeated.
    local fields = json():sub(2, -2)
    assert.is_true(same({ FULL_USER },
      users_of("[{" .. fields .. "," .. fields .. "," .. fields .. "}]", true)))
    local loose = users_of('[{"id":[1],"id":{"a":1},"role":1,"id":[2,[3]],"role":[],"email":[1]}]', false)
    assert.is_true(same({ { id = { 2, { 3 } }, role = {}, email = { 1 } } }, loose))
  end)

  it("accepts integers in every notation", function()
    for text, value in pairs { ["2.0"] = 2, ["1e3"] = 1000, ["-0"] = 0, ["0.0"] = 0, ["-7"] = -7,
      ["25e-1"] = false, ["2.5"] = false, ["9223372036854775808"] = false, ["1e300"] = false } do
      local list = "[" .. json { num_inverters = text } .. "]"
      local users, kind, message = decode(list, true)
      if value then
        assert.equal(value, users[1].num_inverters)
        if math.type then assert.equal("integer", math.type(users[1].num_inverters)) end
        assert.equal(value, users_of(list, false)[1].num_inverters)
      else
        -- Lua 5.1 and LuaJIT have no integers; the rule is the same.
        assert.is_nil(users)
        assert.equal("schema", kind)
        assert.equal("[1].num_inverters: expected integer, got number", message)
        assert.equal(tonumber(text), users_of(list, false)[1].num_inverters)
      end
    end
    assert.equal(math.maxinteger or 2 ^ 63,
      users_of("[" .. json { num_inverters = "9223372036854775807" } .. "]", true)[1].num_inverters)
  end)

  it("names the field that has the wrong type", function()
    local types = { string = '"x"', number = "1.5", boolean = "true", object = '{"a":[1,{}]}',
      array = '[{"a":1},[]]', null = "null" }
    local values = { string = "x", number = 1.5, boolean = true, object = { a = { 1, {} } },
      array = { { a = 1 }, {} }, null = null }
    local good = { latitude = "number", longitude = "number", is_onboarded = "boolean" }
    -- One field of each type, required or not, is cut at every byte.
    local thorough = { id = true, town = true, is_onboarded = true, latitude = true, num_wallboxes = true }
    for _, field in ipairs(FULL) do
      local name = field[1]
      local expected = INTEGERS[name] and "integer" or good[name] or "string"
      local required = false
      for _, r in ipairs(REQUIRED) do required = required or r == name end
      for got, text in pairs(types) do
        local list = "[" .. json() .. "," .. json() .. "," .. json { [name] = text } .. "]"
        local users, kind, message, offset, count, cut_short = decoder.decode(list, true, 3)
        if expected == got or got == "null" and not required then
          assert.is_true(users and #users == 3)
        elseif expected == "string" and got == "number" then
          assert.equal(text, users[3][name])
        else
          assert.is_nil(users)
          assert.equal("schema", kind)
          assert.equal(("[3].%s: expected %s, got %s"):format(name, expected, got), message)
          assert.equal(2, count)
          assert.is_false(cut_short)
          assert.equal(text, list:sub(offset + 1, offset + #text))
        end
        list = "[" .. json { [name] = text } .. "," .. json() .. "]"
        users = thorough[name] and users_of(list, false) or assert(decoder.decode(list, false, 7))
        assert.is_true(same({ copy(FULL_USER, { [name] = values[got] }), FULL_USER }, users))
      end
    end
  end)

  it("says which required field is missing", function()
    for _, name in ipairs(REQUIRED) do
      local list = "[" .. json() .. "," .. json { [name] = false } .. "]"
      local users, kind, message, offset, count = decode(list, true)
      assert.is_nil(users)
      assert.equal("schema", kind)
      assert.equal(("[2].%s: missing"):format(name), message)
      assert.equal(1, count)
      assert.equal("}", list:sub(offset + 1, offset + 1))
      assert.is_true(same({ FULL_USER, copy(FULL_USER, { [name] = null }) }, users_of(list, false)))
    end
    local _, _, message = decode("[{}]", true)
    assert.equal("[1].id: missing", message)
    assert.is_true(same({ {}, {} }, users_of("[{},{}]", false)))
  end)

  it("requires an array of objects", function()
    for text, got in pairs { ["{}"] = "object", ['{"detail":"x"}'] = "object", ['"x"'] = "string",
      ["1"] = "number", ["1.5"] = "number", ["123"] = "number", [" true "] = "boolean",
      ["false"] = "boolean", ["null"] = "null" } do
      for _, validate in ipairs { true, false } do
        local users, kind, message, _, count = decode(text, validate)
        assert.is_nil(users)
        assert.equal("schema", kind)
        assert.equal("expected an array of users, got " .. got, message)
        assert.equal(0, count)
      end
    end
    for text, got in pairs { ["[]"] = "array", ["[{}]"] = "array", ['"x"'] = "string", ["1"] = "number",
      ["true"] = "boolean", ["null"] = "null" } do
      local users, kind, message, offset, count = decode("[" .. json() .. "," .. text .. "]", false)
      assert.is_nil(users)
      assert.equal("schema", kind)
      assert.equal("[2]: expected object, got " .. got, message)
      assert.equal(1, count)
      assert.equal(#json() + 2, offset)
    end
  end)

  it("says where the input ends too early, and after how many users", function()
    local short = json({ role = '"staff"' }, '"x":[1,{"y":null}]')
    local text = "[" .. json() .. "," .. short .. "]"
    local first, second = #json() + 1, #json() + #short + 2
    for i = 0, #text - 1 do
      local users, kind, message, offset, count, cut_short = decoder.decode(text:sub(1, i), true, 7)
      assert.is_nil(users)
      assert.equal("decode", kind)
      assert.equal(("the input ended too early at byte %d"):format(i), message)
      assert.equal(i, offset)
      assert.equal(i < first and 0 or i < second and 1 or 2, count)
      assert.is_true(cut_short)
    end
  end)

  it("refuses what follows the list", function()
    for _, after in ipairs { "x", "[]", "{}", ",", "]", "null", "1", '"', "\0" } do
      local users, kind, message, offset, count, cut_short = decode("[" .. json() .. "] " .. after, true)
      assert.is_nil(users)
      assert.equal("decode", kind)
      assert.equal(("text after the value at byte %d"):format(#json() + 3), message)
      assert.equal(#json() + 3, offset)
      assert.equal(1, count)
      assert.is_false(cut_short)
    end
    local users, kind = decode("\239\187\191[]", true)
    assert.is_nil(users)
    assert.equal("decode", kind)
  end)

  it("accepts strings of 20 MB if the limit allows them", function()
    local long = ("x"):rep(20 * 1000 * 1000)
    local text = "[" .. json({ email = '"' .. long .. '"' }, '"x":"\\n' .. long .. '"') .. "]"
    local users = assert(decoder.decode(text, true, 65536, { user_limit = 60e6 }))
    assert.is_true(users[1].email == long)
    assert.is_true(users[1].x == "\n" .. long)
    users = nil
    local _, kind, message, offset, count = decoder.decode(text, true, 65536)
    assert.equal("too_large", kind)
    assert.equal(("a string or number is too long at byte %d"):format(text:find(long, 1, true) - 2),
      message)
    assert.is_true(offset > 0 and count == 0)
    long, text = nil, nil
    collectgarbage()
  end)

  it("limits the size of a user, whatever it contains", function()
    for _, extra in ipairs { '"x":[' .. ("1,"):rep(5000) .. "1]", '"x":{' .. ('"a":[],'):rep(3000)
      .. '"b":1}', ('"y":1,'):rep(3000) .. '"y":2' } do
      local text = "[" .. json() .. "," .. json(nil, extra) .. "]"
      assert.equal(2, #assert(decoder.decode(text, true, 100, { user_limit = 50000 })))
      for _, pieces in ipairs { 1, 100, 1e9 } do
        local users, kind, message, offset, count = decoder.decode(text, true, pieces, { user_limit = 5000 })
        assert.is_nil(users)
        assert.equal("too_large", kind)
        assert.equal("[2]: more than 5000 bytes", message)
        assert.equal(#json() + 2, offset)
        assert.equal(1, count)
      end
    end
    -- Many or large fields of the schema count, too.
    for _, extra in ipairs { ('"email":"x",'):rep(1000), '"town":"' .. ("x"):rep(4000) .. '","zip_code":"'
      .. ("x"):rep(4000) .. '",' } do
      local users, kind = decode("[{" .. extra .. json():sub(2) .. "]", true, 5000)
      assert.is_nil(users)
      assert.equal("too_large", kind)
    end
  end)

  it("limits the depth of arrays and objects", function()
    local function list(n)
      return '[{"x":' .. ("["):rep(n) .. ("]"):rep(n) .. "}]"
    end
    for _, pieces in ipairs { 1, 50, 1e9 } do
      local users = assert(decoder.decode(list(510), false, pieces))
      local depth, x = 0, users[1].x
      while x do depth, x = depth + 1, x[1] end
      assert.equal(510, depth)
      local _, kind, message, offset = decoder.decode(list(511), false, pieces)
      assert.equal("decode", kind)
      assert.equal("arrays and objects are nested too deeply at byte 516", message)
      assert.equal(516, offset)
      _, kind = decoder.decode(list(100000), false, pieces)
      assert.equal("decode", kind)
      _, kind = decoder.decode('[{"x":' .. ('{"x":'):rep(100000), false, pieces)
      assert.equal("decode", kind)
    end
  end)

  it("gives the same error however a user is cut into pieces that is too large and not JSON", function()
    local text = "[" .. json { email = '"\\u00e"' } .. "]"
    local email = text:find('"email"', 1, true) - 1
    for limit = email - 5, email + 20 do
      local users, kind, message = decode(text, true, limit)
      assert.is_nil(users)
      if limit <= email - 1 then assert.equal("[1]: more than " .. limit .. " bytes", message) end
      assert.is_true(kind == "too_large" or kind == "decode")
    end
  end)

  it("limits a user to 65,536 values of any type", function()
    -- A user has 21, and "x" is one more.
    local function user_of(values) return json({}, '"x":[' .. ("[],"):rep(values - 23) .. "{}]") end
    for _, pieces in ipairs { 1e9, 65536, 1000, 7 } do
      for _, each in ipairs { false, true } do
        local options = { copy = true, each = each }
        local text = "[" .. user_of(65536) .. "," .. user_of(65536) .. "]"
        assert.equal(2, #assert(decoder.decode(text, true, pieces, options)))
        text = "[" .. json() .. "," .. user_of(65537) .. "]"
        local users, kind, message, offset, count = decoder.decode(text, true, pieces, options)
        assert.is_nil(users)
        assert.same({ "too_large", "[2]: more than 65536 values", 1 }, { kind, message, count })
        assert.equal(#text - 5, offset) -- of the last {
      end
    end
  end)

  it("counts 16 bytes for each value of a list towards its limit, and none for keys", function()
    local text = "[" .. json() .. "," .. json({}, '"x":{"y":[null]}') .. "]" -- 1 + 22 + 22 + 3 values
    for _, pieces in ipairs { 1e9, 100, 7, 1 } do
      for _, each in ipairs { false, true } do
        local options = { copy = true, each = each, max = 48 * 16 }
        assert.equal(2, #assert(decoder.decode(text, true, pieces, options)))
        options.max = 48 * 16 - 1
        local users, kind, message = decoder.decode(text, true, pieces, options)
        assert.is_nil(users)
        assert.equal("too_large", kind)
        assert.truthy(message:find("max_response_bytes", 1, true), message)
      end
    end
    local _, kind = decoder.decode("[]", true, nil, { max = 15 })
    assert.equal("too_large", kind)
  end)

  it("decodes many users in pieces of any size", function()
    local list, n = {}, 1000 / math.min(STEP, 10)
    for i = 1, n do
      list[i] = json({ id = '"' .. i .. '"', num_inverters = tostring(i),
        town = i % 3 == 0 and "null" or '"T' .. i % 7 .. '"', latitude = i % 5 == 0 and "null" or nil },
        i % 100 == 0 and '"new":[' .. i .. "]" or nil)
    end
    local text = "[" .. table.concat(list, ",") .. "]"
    for _, pieces in ipairs { 1, 13, 4096, 16384, 1e9 } do
      for _, each in ipairs { true, false } do
        local users = assert(decoder.decode(text, true, pieces, { each = each, copy = true }))
        assert.equal(n, #users)
        for i, user in ipairs(users) do
          assert.equal(tostring(i), user.id)
          assert.equal(i, user.num_inverters)
          assert.equal(i % 3 ~= 0 and "T" .. i % 7 or nil, user.town)
          assert.equal(i % 5 ~= 0 and 48.208174 or nil, user.latitude)
          assert.equal(i % 100 == 0 and i or nil, user.new and user.new[1])
        end
      end
    end
  end)

  it("returns an error of kind memory, whichever allocation fails", function()
    local text = "[" .. json() .. "," .. json({ last_name = '"' .. ("x"):rep(1000) .. "\\n" .. '"' })
      .. "]"
    local failures = 0
    for _, pieces in ipairs { 1, 100, 1e9 } do
      for n = 1, 100 do
        decoder.fail_after(n)
        local users, kind, message = decoder.decode(text, true, pieces)
        decoder.fail_after(0)
        if users then break end
        failures = failures + 1
        assert.same({ "memory", "out of memory" }, { kind, message })
        assert.is_true(n < 100)
      end
    end
    assert.is_true(failures >= 3)
  end)
end)

describe("a stream of users", function()
  it("stops after each user, and resumes after it", function()
    local text = "[" .. json { id = '"1"' } .. "," .. json { id = '"2"' } .. "," .. json { id = '"3"' }
      .. "]"
    local stream = decoder.stream(true)
    local what, at, user = stream:feed(text)
    assert.equal("user", what)
    assert.equal("1", user.id)
    assert.equal(#json { id = '"1"' } + 2, at)
    assert.equal(1, stream:count())
    local rest = text:sub(at) -- at another address
    what, at, user = stream:feed(rest)
    assert.equal("user", what)
    assert.equal("2", user.id)
    what, at = stream:feed(rest:sub(at, at + 10))
    assert.equal("more", what)
    assert.is_nil(at)
    what, at, user = stream:feed(rest:sub(#json { id = '"2"' } + 2 + 11))
    assert.equal("user", what)
    assert.equal("3", user.id)
    assert.equal("more", (stream:feed("]")))
    assert.equal("more", (stream:feed("")))
    assert.equal("more", (stream:feed("\n")))
    assert.is_true(stream:finish())
    assert.is_true(stream:finish())
  end)

  it("repeats its error when it is used again", function()
    local stream = decoder.stream(true)
    assert.equal("user", (stream:feed("[" .. json())))
    local what, _, kind, message, offset, count = stream:feed(",{]")
    assert.same({ "failed", "decode" }, { what, kind })
    for _ = 1, 3 do
      assert.same({ "failed", nil, kind, message, offset, count, false },
        { stream:feed(json()) })
      local ok, again = stream:finish()
      assert.is_nil(ok)
      assert.equal(kind, again)
    end
    assert.equal(1, stream:count())
  end)

  it("waits for more at each point of an unfinished list, and may be collected there", function()
    local text = "[" .. json(nil, '"x":[1,[2,{"y":"\\n\195\164') -- cut off
    for i = 0, #text do
      local stream = decoder.stream(true)
      assert.equal("more", (stream:feed(text:sub(1, i))))
    end
    collectgarbage()
  end)

  it("keeps no reference to users that it has returned", function()
    local stream = decoder.stream(true)
    local text = json(nil, '"x":{"y":1}')
    stream:feed("[" .. text:sub(1, -4)) -- inside x
    local _, _, user = stream:feed(text:sub(-3))
    local weak = setmetatable({ user, user.x }, { __mode = "v" })
    user = nil
    collectgarbage() collectgarbage()
    assert.is_nil(weak[1] or weak[2])
    assert.equal(1, stream:count())
  end)
end)

-- A list of users with random fields, of random types.
local function random_list()
  local values = { "null", "1", "2.5", '"x"', "true", "[]", "{}", "[null,{}]", '{"a":null,"b":[1]}',
    '"\\u00e4"', "-0", "1e2", '""' }
  local users = {}
  for i = 1, math.random(0, 4) do
    local parts = {}
    for j = 1, math.random(0, 30) do
      local name = math.random(5) == 1 and "x" .. math.random(4) or FULL[math.random(#FULL)][1]
      parts[j] = ('"%s":%s'):format(name, values[math.random(#values)])
    end
    users[i] = "{" .. table.concat(parts, ",") .. "}"
  end
  return "[" .. table.concat(users, ",") .. "]"
end

-- A list of users that conform to the schema.
local function random_valid_list()
  local texts = { '"x"', '"X"', '"\\u00c4x"', '"\195\164"', "1010", '"1010"', '""', '"\206\163 x"' }
  local users = {}
  for i = 1, math.random(0, 8) do
    local changes = { num_inverters = math.random(0, 2), latitude = math.random(0, 3) / 2,
      role = '"' .. ({ "admin", "user", "guest", "staff", "owner" })[math.random(5)] .. '"' }
    for _, name in ipairs { "email", "first_name", "last_name", "external_user_id", "zip_code" } do
      changes[name] = texts[math.random(#texts)]
    end
    for _, name in ipairs { "first_name", "last_name", "town" } do
      if math.random(3) == 1 then changes[name] = "null" end
    end
    users[i] = json(changes, math.random(2) == 1 and '"x":"' .. math.random(3) .. '","x2":[{"x":1}]' or nil)
  end
  return "[" .. table.concat(users, ",") .. "]"
end

-- Pieces for random changes.
local ALPHABET = { "[", "]", "{", "}", ",", ":", '"', "\\", "0", "1", "-", ".", "e", "null", "true",
  " ", "\n", "\0", "\128", "\195\164", "\\u00e4", "\\ud83d", "{}", "[]", '"id":', '"town":',
  '"x":', ',"id":[1]', ',"email":null', ',"x":{"y":1}', ',"id":"b"', "1e400" }

-- Maximum sizes of pieces: parts of a field, or many fields, which are read in one step.
local MOST = { 40, 1500 }

describe("a part of a list", function()
  local function check(text, validate)
    local users = decoder.decode(text, validate)
    local part = oracle.random_part(users or {}, function(n) return math.random(n) end)
    local agreed, problem = oracle.compare_part(text, validate, random_sizes(MOST[math.random(2)]),
      math.random(2) == 1, part)
    if not agreed then error(("seed %d: %s: %s"):format(seed, problem, text), 0) end
  end

  it("is what the same filters in Lua make of the whole list", function()
    for _ = 1, 6000, STEP do check(random_valid_list(), true) end
    for _ = 1, 3000, STEP do check(random_list(), false) end
  end)

  it("fails as the whole list does", function()
    for _ = 1, 2000, STEP do check(random_list(), true) end
    for _ = 1, 2000, STEP do check(mutate(random_valid_list(), ALPHABET, 30, 40), math.random(2) == 1) end
  end)
end)

describe("the user decoder and the reader of any value", function()
  -- Without validation, both accept the same texts and return the same values.
  local function compare(text)
    local agreed, problem = oracle.compare_users(text, random_sizes(MOST[math.random(2)]), math.random(2) == 1)
    if agreed == nil then error(("seed %d: %s: %s"):format(seed, problem, text), 0) end
    return agreed
  end

  it("agree on random mutations", function()
    local seeds = { "[" .. json() .. "," .. json({ town = "null", latitude = "null" }) .. "]",
      '[{"id":"a","x":[1,null,{"y":null}],"role":"admin","num_inverters":2.0,"latitude":1}]',
      '[{"town":"x","town":null},{},{"longitude":-0,"num_wallboxes":-0},{"a":{"b":[[],{}]}}]' }
    local good = 0
    for _ = 1, 20000, STEP do
      local text = seeds[math.random(#seeds)]
      for _ = 1, math.random(1, 3) do
        text = mutate(text, ALPHABET, 30, 40)
      end
      if compare(text) then good = good + 1 end
    end
    assert.is_true(good > 1000 / STEP)
  end)

  it("agree on every form of a value between other fields", function()
    local forms = { "0", "-0", "-0.0", "0.0", "00", "01", "-", "-1", "-12.5", "1.", ".5", "1.5.5", "1e2", "1E-2",
      "1.5e", "123456789012345", "1234567890123456", "9223372036854775807", "9223372036854775808", "12345678.1234567",
      "123456789.1234567", "0.000000000000001", "0.0000000000000001", "1 ", "1\n", "1x", "-x", "+1", "1e400",
      "null", "nul", "nullx", "true", "tru", "trux", "false", "fals", "falsx", "[]", "{}", "[1", '"', '""', '"\\"',
      '"\\\\"', '"a\\nb\\tc\\/"', '"\\u00e4\\u20AC\\u0041"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00"',
      '"\\ud83d\\n"',
      '"\\u00g0"', '"\\u12"', '"\\x"', '"\1"', '"\\n\1"', '"\\n\255"', '"\127"', '"\195\164"', '"\195"', '"\192\128"',
      '"\224\128\128"', '"\226\130\172"', '"\237\160\128"', '"\240\159\152\128"', '"\244\144\128\128"',
      '"\\n\226\130\172"',
      '"' .. ("x"):rep(100) .. '\195\164\\t' .. ("y"):rep(100) .. '"', " 1", "\n1", "  null", '\t"x"' }
    for _, form in ipairs(forms) do
      for _, name in ipairs { "id", "latitude", "zip_code", "joined_at", "new" } do
        local text = json({ [name] = form }, name == "new" and '"new":' .. form or nil)
        text = "[" .. text .. "," .. text .. "]"
        for _, size in ipairs { 1e9, 200, 1 } do
          for _, cut in ipairs { text, (text:gsub('":', '": ')), (text:gsub(',"', ',\n  "')) } do
            local agreed, problem = oracle.compare_users(cut, size)
            if agreed == nil then error(problem .. ": " .. cut, 0) end
          end
        end
      end
    end
  end)

  it("agree on random lists", function()
    for _ = 1, 3000, STEP do assert.is_true(compare(random_list())) end
  end)
end)
