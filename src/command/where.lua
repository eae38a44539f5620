--- Reads conditions such as "role=admin" for the option `where` of the module: values are read by the field's type in
-- the API's schema.

local FIELDS = require "podero.command.columns"
local failure = require "podero.command.failure"
local podero = require "podero"
local words = require "podero.command.words"

local where = {}

local ROLES = { podero.Role.ADMIN, podero.Role.STAFF, podero.Role.USER, podero.Role.GUEST }

where.ROLES = ROLES

-- By the type of a field: a function that returns the value of a text, or nil and what was expected.
local read = {}

function read.string(value) return value end

function read.enum(value) -- the only one is the role
  for _, role in ipairs(ROLES) do
    if value == role then return role end
  end
  if value:find("[, ]") then return nil, words.any(ROLES) .. ", each in its own role=" end
  return nil, words.any(ROLES) .. words.hint(value, ROLES)
end

local BOOLEANS = { ["true"] = true, ["false"] = false }

function read.boolean(value)
  local result = BOOLEANS[value]
  if result ~= nil then return result end
  return nil, "true or false"
end

--- Returns a number, written as in JSON; not "0x10", "nan" or " 1".
local function number(value)
  local mantissa, exponent = value:match("^(%-?%d+%.?%d*)(.*)$")
  return mantissa and (exponent == "" or exponent:find("^[eE][+-]?%d+$")) and tonumber(value)
end

function read.number(value)
  local result = number(value)
  if result then return result end
  return nil, "a number"
end

function read.integer(value)
  local result = number(value)
  if result and result % 1 == 0 then return result end
  return nil, "a whole number"
end

--- Returns the values that a text may mean if the schema does not have the field.
local function any(value)
  local values = { value }
  values[#values + 1] = number(value) or nil
  if BOOLEANS[value] ~= nil then values[#values + 1] = BOOLEANS[value] end
  return values
end

local is_field = {}
for _, name in ipairs(FIELDS) do is_field[name] = true end

--- Returns a message about a name that is no field of the API's schema, but resembles some; nil otherwise.
function where.misspelt(name)
  local hint = is_field[name] and "" or words.hint(name, FIELDS, true)
  return hint ~= "" and ("there is no field %s%s"):format(words.quoted(name), hint) or nil
end

--- Returns the field and an array of the values that it may have: `convert` of an option, see option.lua. "FIELD="
-- matches null and an absent field.
function where.read(condition)
  local field, value = condition:match("^([^=]+)=(.*)$")
  if condition:find("^[%w_]+%s*[!<>~]") then
    return nil, "FIELD=VALUE: for other comparisons, use --format ndjson and jq"
  end
  if not field and condition:find("@", 1, true) then
    return nil, nil, ("the name of a field is missing: did you mean 'email=%s'?"):format(condition)
  elseif not field then
    return nil, is_field[condition] and ("FIELD=VALUE, or %s= for those without one"):format(condition)
      or "FIELD=VALUE, such as role=admin"
  end
  local misspelt = where.misspelt(field)
  if misspelt then return nil, nil, misspelt end
  if value == "" then return { field, { podero.null } } end
  if not is_field[field] then return { field, any(value) } end
  local result, expected = read[FIELDS.types[field]](value)
  if result == nil then return nil, ("%s to be %s"):format(field, expected) end
  return { field, { result } }
end

--- Returns whether the API's schema has a field.
function where.is_field(name)
  return is_field[name] == true
end

--- Refuses fields that the schema does not have, unless --no-validate is given: most likely, no user has them.
function where.check(given)
  for _, condition in ipairs(given.where) do
    local field = condition[1]
    if not is_field[field] and not given.no_validate then
      failure.usage(("the API's schema has no field %s: --no-validate accepts it"):format(
        words.quoted(field)), given.label)
    end
  end
end

--- Returns the option `where` of the module for an array of results of `where.read`; nil if it is empty. A field that
-- is repeated may have any of its values.
function where.option(conditions)
  if #conditions == 0 then return nil end
  local made = {}
  for _, condition in ipairs(conditions) do
    local values = made[condition[1]] or {}
    for _, value in ipairs(condition[2]) do values[#values + 1] = value end
    made[condition[1]] = values
  end
  return made
end

return where
