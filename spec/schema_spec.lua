-- The schema of users is defined in src/lua/user_schema.h. Everything else that names its fields agrees with it.
local helper = require "spec.support.helper"
local users = require "spec.support.mock.users"

-- The fields in the order of the schema: name, type in Lua, and whether it may be nil.
local function schema()
  local types = { STRING = "string", ROLE = "podero.Role", INTEGER = "integer", NUMBER = "number", BOOLEAN = "boolean" }
  local fields = {}
  for name, kind, flags in helper.read("src/lua/user_schema.h"):gmatch("\n%s+FIELD%(([%l_]+), (%u+), ([^)]+)%)") do
    fields[#fields + 1] = { name = name, type = types[kind], nullable = flags:find("USER_NULLABLE", 1, true) ~= nil }
  end
  return fields
end

local function names()
  local list = {}
  for i, field in ipairs(schema()) do list[i] = field.name end
  return list
end

describe("the fields of the schema", function()
  it("are the 21 fields of the API's specification", function()
    assert.equal(21, #schema())
  end)

  it("are the columns of the command", function()
    local types = { ["podero.Role"] = "enum" }
    local expected = names()
    expected.types = {}
    for _, field in ipairs(schema()) do expected.types[field.name] = types[field.type] or field.type end
    assert.same(expected, dofile("src/command/columns.lua"))
  end)

  it("are the fields of the mock Partner API", function()
    assert.same(names(), users.FIELDS)
  end)

  it("have the types of types/podero.lua", function()
    local class = helper.read("types/podero.lua"):match("\n%-%-%-@class podero%.User\n(.-)\n\n")
    local expected, told = {}, {}
    for i, field in ipairs(schema()) do
      expected[i] = field.name .. (field.nullable and "? " or " ") .. field.type
    end
    for name, kind in class:gmatch("%-%-%-@field ([%l_]+%??) (%S+)") do told[#told + 1] = name .. " " .. kind end
    assert.same(expected, told)
  end)
end)
