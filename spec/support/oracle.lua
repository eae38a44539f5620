--- Compares the results of the JSON reader and the user decoder with those of lua-cjson and with each other, for a text
-- in pieces of any size. For specs and fuzzers.

local decoder = require "decoder"
local cjson = require "cjson".new()
cjson.decode_invalid_numbers(false) -- by default it takes NaN, Infinity and hexadecimal
cjson.decode_max_depth(1000)

local null = cjson.null
local math_type = math.type or function() return nil end
local COPY = { copy = true } -- each piece in a new block, which is overwritten after use

local INTEGERS = { num_inverters = true, num_heat_pumps = true, num_electric_vehicles = true, num_wallboxes = true }

local oracle = {}

--- Returns whether two decoded values are equal. -0 and 0 differ, and so do integers and floats unless the comparison
-- is `loose`. NaN does not occur.
function oracle.same(a, b, loose)
  if type(a) ~= type(b) or not loose and math_type(a) ~= math_type(b) then return false end
  if type(a) == "number" then return a == b and 1 / a == 1 / b end
  if type(a) ~= "table" then return a == b end
  for k, v in pairs(a) do
    if not oracle.same(v, b[k], loose) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

-- any value -----------------------------------------------------------------------------------------------------------

--- Texts that lua-cjson (2.1.0, with decode_invalid_numbers off) accepts although RFC 8259 does not.
oracle.differences = {
  { "no digit after the point", "[1.]" },
  { "no digit after the point, at the end of the text", "1." },
  { "no digit between point and exponent", "[1.e5]" },
  { "no digit before the point, after a minus", "[-.5]" },
  { "raw control characters in strings", '["\1"]' },
  { "invalid UTF-8 in strings", '["\255"]' },
  { "UTF-8 of half a pair", '["\237\160\128"]' },
  { "numbers beyond a double become infinite", "[1e309]" },
  { "a NUL after the value ends the text, whatever follows", "[1]\0x" },
}

--- Returns whether lua-cjson accepts a text that our reader refuses at `offset` because of one of these differences.
local function explained(text, message, offset)
  local byte = text:sub(offset + 1, offset + 1)
  return message == "invalid UTF-8" or message == "a control character in a string"
    or message == "a number is too large"
    or message == "expected a digit" and (byte == "." or text:sub(offset, offset) == ".")
    or message == "the input ended too early" and text:sub(-1) == "."
    or message == "text after the value" and byte == "\0"
end

-- OpenResty's lua-cjson decodes integers: -0 becomes 0, and integers above 2^63 become 2^63.
local HAS_INTEGERS = math_type(cjson.decode("[1]")[1]) == "integer"

--- Returns a copy of a value in which all numbers are floats.
local function as_floats(value)
  if value == 0 and HAS_INTEGERS then return 0.0 end
  if math_type(value) == "integer" then return value + 0.0 end
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = as_floats(v) end
  return copy
end

--- Reads a text in pieces of these sizes. Returns true if both readers accept it with equal values; false if both
-- refuse it, or only our reader because of a difference listed above; otherwise nil and a message.
function oracle.compare(text, sizes)
  local ok, value, message, offset = decoder.decode_any(text, sizes, COPY)
  local whole_ok, whole_value, whole_message, whole_offset = decoder.decode_any(text, nil, COPY)
  if ok ~= whole_ok then return nil, "the result depends on the pieces" end
  if ok and not oracle.same(value, whole_value) then return nil, "the value depends on the pieces" end
  if not ok and (message ~= whole_message or offset ~= whole_offset) then
    return nil, "the error depends on the pieces"
  end
  local oracle_ok, expected = pcall(cjson.decode, text)
  if ok and oracle_ok then
    if oracle.same(as_floats(value), as_floats(expected)) then return true end
    if HAS_INTEGERS and text:find(("%d"):rep(19)) then return true end
    return nil, "the value differs from lua-cjson's"
  end
  -- lua-cjson refuses byte order marks, too, and has no other reason to refuse a text that our reader accepts.
  if ok then return nil, "only our reader accepts it; lua-cjson: " .. expected end
  if oracle_ok and not explained(text, message, offset) then
    return nil, ("only lua-cjson accepts it; our reader: %s at %d"):format(message, offset)
  end
  return false
end

--- Decodes a text as client:get does, in pieces of these sizes, with a limit of `max` bytes (0: none). Returns true if
-- all readers accept it with equal values, false if they refuse it or it exceeds the limit; otherwise nil and a
-- message.
function oracle.compare_values(text, sizes, max)
  local cut = { decoder.value(text, sizes, { copy = true, max = max }) }
  local whole = { decoder.value(text, nil, { copy = true, max = max }) }
  for i = 1, 5 do
    if not oracle.same(cut[i], whole[i]) then
      return nil, ("the result depends on the pieces: %s, not %s"):format(tostring(cut[i]), tostring(whole[i]))
    end
  end
  local agreed, problem = oracle.compare(text, sizes)
  if agreed == nil or whole[2] == "too_large" then return agreed and false, problem end
  local ok, value, message, offset, cut_short = decoder.decode_any(text)
  if ok ~= whole[1] then return nil, "only one of decoder and reader accepts it" end
  if ok then
    if oracle.same(value, whole[2]) then return agreed end
    return nil, "the value differs from the reader's"
  end
  if whole[2] ~= "decode" or whole[3] ~= ("%s at byte %d"):format(message, offset) or whole[5] ~= cut_short then
    return nil, "the error differs from the reader's: " .. whole[3]
  end
  return agreed
end

-- users ---------------------------------------------------------------------------------------------------------------

local function without_nulls(value)
  if type(value) ~= "table" then return value end
  local new = {}
  for k, v in pairs(value) do
    if v ~= null or type(k) == "number" then new[k] = without_nulls(v) end
  end
  return new
end

local function as_user(value)
  local user = without_nulls(value)
  for name in pairs(INTEGERS) do
    local n = user[name]
    if math_type(n) == "float" then user[name] = math.tointeger(n) or n end
    if n == 0 then user[name] = 0 end
  end
  for _, name in ipairs { "latitude", "longitude" } do
    if math_type(user[name]) == "integer" then user[name] = user[name] + 0.0 end
  end
  return user
end

--- Decodes a text as users, without validation, in pieces of these sizes, each user by itself or all into one list.
-- Returns true if the JSON reader accepts it with an equal value; false if both refuse it, or it is not an array of
-- objects; otherwise nil and a message.
function oracle.compare_users(text, sizes, each)
  local users, kind, message, offset, _, cut_short = decoder.decode(text, false, sizes, { copy = true, each = each })
  local ok, value, _, any_offset, any_cut_short = decoder.decode_any(text)
  if users then
    if not ok then return nil, "only the user decoder accepts it" end
    local expected = {}
    for i, user in ipairs(value) do expected[i] = as_user(user) end
    if oracle.same(expected, users) then return true end
    return nil, "the value differs from the reader's"
  end
  if kind == "schema" then
    if not message:find "^expected an array of users, got " and not message:find "^%[%d+%]: expected object, got " then
      return nil, message
    end
  elseif ok then
    return nil, "only the reader accepts it: " .. message
  elseif offset ~= any_offset or cut_short ~= any_cut_short then
    return nil, "the offset differs from the reader's"
  end
  return false
end

-- parts of a list -----------------------------------------------------------------------------------------------------

local function contains(values, value)
  if type(values) ~= "table" then values = { values } end
  for _, v in ipairs(values) do
    if v == null and value == nil or v ~= null and v == value then return true end
  end
  return false
end

local function fold(value)
  return type(value) == "string" and decoder.casefold(value) or nil
end

local function is_found(user, search)
  local first, last = fold(user.first_name), fold(user.last_name)
  local texts = { fold(user.email) or "", fold(user.external_user_id) or "", first or "", last or "",
    first and last and first .. " " .. last or "" }
  for _, text in ipairs(texts) do
    if text:find(search, 1, true) then return true end
  end
  return false
end

local function is_accepted(user, opts)
  if opts.role and not contains(opts.role, user.role) then return false end
  for name, values in pairs(opts.where or {}) do
    if type(user[name]) == "table" or not contains(values, user[name]) then return false end
  end
  return not opts.search or opts.search == "" or is_found(user, fold(opts.search))
end

local function with_fields(user, names)
  if not names then return user end
  local part = {}
  for _, name in ipairs(names) do part[name] = user[name] end
  return part
end

--- Returns what the options fields, role, search, where and limit make of a list of whole users. Numbers in `where` are
-- for fields that are numbers.
function oracle.part(list, opts)
  local part = {}
  for _, user in ipairs(list) do
    if #part == (opts.limit or #list) then break end
    if is_accepted(user, opts) then part[#part + 1] = with_fields(user, opts.fields) end
  end
  return part
end

--- Decodes a text as users with and without the options of a part, in pieces of these sizes. Returns nil and a message
-- if the part is not that of the whole list. If `limit` ends the list, what follows is not looked at.
function oracle.compare_part(text, validate, sizes, each, opts)
  local options = { copy = true, each = each }
  local whole, kind, message, offset, count = decoder.decode(text, validate, sizes, options)
  for name, value in pairs(opts) do options[name] = value end
  local part, part_kind, part_message, part_offset, part_count = decoder.decode(text, validate, sizes, options)
  if whole then
    if part and oracle.same(oracle.part(whole, opts), part) then return true end
    return nil, "the part is not that of the whole list: " .. tostring(part_message)
  end
  if part and opts.limit and #part == opts.limit then return true end
  if part or part_kind ~= kind or part_message ~= message or part_offset ~= offset or part_count ~= count then
    return nil, ("the error is not that of the whole list: %s, not %s"):format(tostring(part_message), message)
  end
  return true
end

local NAMES = { "id", "organization_id", "external_user_id", "role", "email", "first_name", "last_name",
  "is_onboarded", "town", "zip_code", "latitude", "num_inverters", "joined_at", "x", "x2", "x3", "" }

--- Returns random options of a part, of the values that occur in the users. `random(n)` gives an integer from 1 to n.
function oracle.random_part(users, random)
  local opts = {}
  local function value_of(name)
    local user = users[random(#users + 1)]
    local value = user and user[name]
    if value == nil or type(value) == "table" then return null end
    return value
  end
  if random(3) == 1 then
    opts.fields = {}
    for i = 1, random(5) do opts.fields[i] = NAMES[random(#NAMES)] end
  end
  if random(4) == 1 then opts.role = ({ "admin", { "user", "admin" }, { "guest" }, "staff" })[random(4)] end
  if random(4) == 1 then
    local text = value_of(NAMES[random(7)])
    if type(text) == "string" then
      local from = random(#text + 1)
      opts.search = (random(2) == 1 and text:upper() or text):sub(from, from + random(6))
    end
  end
  if random(3) == 1 then
    opts.where = {}
    for _ = 1, random(2) do
      local name = NAMES[random(#NAMES)]
      opts.where[name] = random(2) == 1 and value_of(name) or { value_of(name), "x", value_of(name), false }
      -- A number for a field of text matches its digits, too, which the whole list cannot show.
      if name ~= "latitude" and name ~= "num_inverters" and not name:find "^x" and name ~= "is_onboarded" then
        local values = opts.where[name]
        if type(values) == "number" then opts.where[name] = null end
        if type(values) == "table" then
          for i, v in ipairs(values) do if type(v) == "number" then values[i] = null end end
        end
      end
    end
  end
  if random(4) == 1 then opts.limit = random(3) end
  return opts
end

return oracle
