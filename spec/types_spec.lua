-- The names of the interface are in the module, in types/podero.lua and in the reference, and the fields of users also
-- in the command and in README.md. All have to agree.

local helper = require "spec.support.helper"
local mock_users = require "spec.support.mock.users"
local podero = require "podero"

-- UserOutput of the API's specification: types, with "?" if nullable; the others are required.
local SCHEMA = {
  id = "string", organization_id = "string", external_user_id = "string?", role = "Role", email = "string",
  first_name = "string?", last_name = "string?", is_onboarded = "boolean?", street_and_number = "string?",
  street_add_info = "string?", zip_code = "string?", town = "string?", country = "string?", latitude = "number?",
  longitude = "number?", last_login = "string?", num_inverters = "integer", num_heat_pumps = "integer",
  num_electric_vehicles = "integer", num_wallboxes = "integer", joined_at = "string?",
}
local ROLES = { "admin", "staff", "user", "guest" }

local types, mock_types = helper.read("types/podero.lua"), helper.read("types/podero/mock.lua")
local reference = {}
for _, name in ipairs { "module", "options", "methods", "users", "errors", "events", "mock" } do
  reference[name] = helper.read("docs/reference/" .. name .. ".md")
end

--- The names in a list or the keys of a table, sorted.
local function sorted(names)
  local list = {}
  for key, value in pairs(names) do list[#list + 1] = type(key) == "number" and value or key end
  table.sort(list)
  return list
end

--- The block of lines that declares a class or an alias in `text`, by default types/podero.lua.
local function block(name, text)
  return assert((text or types):match("\n%-%-%-@%l+ " .. name:gsub("%.", "%%.") .. "%f[%W][^\n]*\n(.-)\n[^-]"), name)
end

--- The types of a class's fields by name, with "?" at the end if the field is optional.
local function fields(class, text)
  local found = {}
  for name, optional, kind in ("\n" .. block(class, text)):gmatch("\n%-%-%-@field ([%a_]+)(%??) (%S+)") do
    found[name] = kind .. optional
  end
  return found
end

--- The literals of an alias.
local function literals(alias)
  local found = {}
  for literal in ("\n" .. block(alias)):gmatch("\n%-%-%-| \"(.-)\"") do found[#found + 1] = literal end
  return found
end

--- The functions that `text`, by default types/podero.lua, declares in a table: "podero." or "Client:".
local function functions(prefix, text)
  local found = {}
  local pattern = "\nfunction " .. prefix:gsub("%.", "%%.") .. "([%w_]+)%("
  for name in (text or types):gmatch(pattern) do found[#found + 1] = name end
  return found
end

--- The names in the first column of the tables on a page of the reference; `pattern` matches them in a cell. With a
-- heading, only in its section.
local function column(page, pattern, heading)
  local found = {}
  local section = reference[page]
  if heading then section = assert(section:match("\n## " .. heading .. "\n(.*)"), heading):gsub("\n## .*", "") end
  for cell in section:gmatch("\n| ([^|\n]*`[^|\n]*) |") do
    for name in cell:gmatch(pattern) do found[#found + 1] = name end
  end
  return found
end

--- The methods of a page, each of which needs a heading, a line with its syntax, and an example.
local function described(page, prefix)
  local found = {}
  for heading in reference[page]:gmatch("\n## ([^\n]+)") do
    local name = heading:match("^" .. prefix .. "([%w_]+)$")
    local section = reference[page]:match("\n## " .. heading:gsub("%p", "%%%0") .. "\n(.*)"):gsub("\n## .*", "")
    if name then
      assert(section:match("\n%*%*syntax:%*%* `([^`\n]+)`"):find(prefix .. name, 1, true), name)
      assert(section:find("\n```lua\n", 1, true), name .. " has no example")
      found[#found + 1] = name
    end
  end
  return found
end

--- The options of a list in src/lua/options.c.
local function options_in_source(list)
  local found = {}
  local text = assert(helper.read("src/lua/options.c"):match("struct option " .. list .. "%[%] = (%b{})"), list)
  for name in text:gmatch("{\"([%l_]+)\",") do found[#found + 1] = name end
  return found
end

--- The error of a function for an option with an invalid value.
local function complaint(call, name)
  local ok, message = pcall(call, { [name] = coroutine.create(function() end) })
  assert.is_false(ok, name)
  return message
end

local EXPECTED = {
  string = "a string", number = "a number of seconds", integer = "a whole number", boolean = "a boolean",
}

describe("types/podero.lua", function()
  local client

  setup(function() client = podero.new { access_token = "x" } end)
  teardown(function() client:close() end)

  it("describes each field, argument and result", function()
    local count = 0
    for line in types:gmatch("\n%-%-%-@(%l+ [^\n]+)") do
      local tag, rest = line:match("^(%l+) (.*)$")
      if tag == "field" or tag == "param" then
        local kind = rest:match("^%S+ (.*)$"):gsub("fun%b()", "F"):gsub("^table<[^>]*>", "T")
        kind = kind:gsub("F: %S+, %S+", "F"):gsub("F: %S+", "F")
        assert.truthy(kind:find("^%S+ [%u`\"]"), line)
        count = count + 1
      elseif tag == "return" then
        assert.truthy(rest:find(" # %S"), line)
        count = count + 1
      end
    end
    assert.is_true(count > 120)
  end)

  it("is valid Lua", function() assert.is_function(loadfile("types/podero.lua")) end)

  it("has the names of the module, as has the reference", function()
    local declared = fields "podero"
    for _, name in ipairs(functions "podero.") do declared[name] = "function" end
    assert.same(sorted(podero), sorted(declared))
    assert.same(sorted(podero), sorted(column("module", "`podero%.([%w_]+)")))
  end)

  it("has the methods of a client, as has the reference", function()
    local methods = debug.getmetatable(client).__index
    assert.same(sorted(methods), sorted(functions "Client:"))
    assert.same(sorted(methods), sorted(column("methods", "`client:([%w_]+)")))
    assert.same(sorted(methods), sorted(described("methods", "client:")))
  end)

  it("has the functions, the methods and the tables of podero.mock, as has the reference", function()
    local mock, public = require "podero.mock", {}
    for name, value in pairs(mock) do public[name] = not name:find "^_" and value or nil end
    assert.same(sorted(public), sorted(functions("mock.", mock_types)))
    assert.same(sorted(public), sorted(column("mock", "`mock%.([%w_]+)")))
    assert.same(sorted(public), sorted(described("mock", "mock.")))
    local methods = sorted(functions("Client:", mock_types))
    for _, name in ipairs(methods) do assert.is_function(mock.new()[name], name) end
    assert.same(methods, sorted(column("mock", "`client:([%w_]+)")))
    assert.same(methods, sorted(described("mock", "client:")))
    for class, heading in pairs {
      ["podero.mock.Options"] = "mock.new", ["podero.mock.Failure"] = "client:fail_next",
      ["podero.mock.Call"] = "client.calls",
    } do
      assert.same(sorted(fields(class, mock_types)), sorted(column("mock", "`([%l_]+)`", heading)), class)
    end
    for name in pairs(fields("podero.mock.Options", mock_types)) do
      assert.truthy(complaint(mock.new, name):find(("option '%s': expected "):format(name), 1, true), name)
    end
  end)

  it("has the options of podero.new, as has the reference", function()
    local declared = fields "podero.Options"
    assert.same(sorted(options_in_source "client_options"), sorted(declared))
    assert.same(sorted(declared), sorted(column("options", "`([%l_]+)`", "All options")))
    local function new(options)
      options.access_token = options.access_token or "x"
      return podero.new(options)
    end
    for name, kind in pairs(declared) do
      local message = complaint(new, name)
      assert.truthy(message:find(("option '%s': expected "):format(name), 1, true), message)
      if EXPECTED[kind] and name ~= "max_response_bytes" then
        assert.truthy(message:find(EXPECTED[kind], 1, true), message)
      end
      assert.equal("?", kind:match("^fun") and "?" or kind:sub(-1), name)
    end
    assert.truthy(complaint(new, "no_such_option"):find("unknown option", 1, true))
  end)

  it("has the options of tls, as has the reference", function()
    local declared = fields "podero.TlsOptions"
    assert.same(sorted(options_in_source "tls_options"), sorted(declared))
    local row = reference.options:match("\n| `tls` [^\n]+")
    for name in pairs(declared) do
      local message = complaint(function(tls) return podero.new { access_token = "x", tls = tls } end, name)
      assert.truthy(message:find(("option 'tls.%s': expected "):format(name), 1, true), message)
      assert.truthy(row:find(name .. "=", 1, true), name)
    end
  end)

  it("has the options of each method", function()
    local function with(class) -- and the classes that it inherits from
      local all = {}
      while class do
        for name in pairs(fields(class)) do all[name] = true end
        class = types:match("\n%-%-%-@class " .. class:gsub("%.", "%%.") .. " : (%S+)\n")
      end
      return sorted(all)
    end
    local id = "016b78a7-0c7c-4241-a277-015c3ad3cb90"
    local known = {}
    for _, list in ipairs { "call", "size", "list", "filter", "part", "progress", "many", "raw", "request" } do
      for _, name in ipairs(options_in_source(list .. "_options")) do known[name] = true end
    end
    local calls = {
      { with "podero.ListOptions", function(opts) return client:list_users(id, opts) end },
      { with "podero.ListOptions", function(opts) return client:each_user(id, opts) end },
      { with "podero.FindOptions", function(opts) return client:find_user(id, { id = id }, opts) end },
      { with "podero.ManyOptions", function(opts) return client:list_users_of({ id }, opts) end },
      { with "podero.GetOptions", function(opts) return client:get("/", nil, opts) end },
      { with "podero.RequestOptions", function(opts) return client:request("GET", "/", opts) end },
    }
    for _, call in ipairs(calls) do
      local takes = {}
      for name in pairs(known) do
        if complaint(call[2], name):find(("option '%s': expected "):format(name), 1, true) then takes[name] = true end
      end
      assert.same(call[1], sorted(takes))
    end
    assert.same(with "podero.ListOptions", sorted(column("methods", "`([%l_]+)`", "Options of the lists")))
  end)

  it("agrees with the reference and the README about the fields of a user", function()
    local WORDS = { ["string"] = "string", integer = "integer", Role = "string", boolean = "boolean", number = "float" }
    local expected = {}
    for name, kind in pairs(SCHEMA) do
      expected[name] = WORDS[kind:gsub("%?", "")] .. (kind:find("?", 1, true) and " or nil" or "")
    end
    local readme = helper.read("README.md"):match("\n## Users\n(.-)\n## ")
    for place, text in pairs { reference = reference.users, readme = readme } do
      local found = {}
      for name, kind in text:gmatch("| `([%l_]+)` | ([^|\n]-) |") do found[name] = kind end
      assert.same(expected, found, place)
    end
  end)

  it("has the kinds and the fields of errors, as has the reference", function()
    local kinds = {}
    for name in helper.read("src/core/failure.c"):gmatch("case FAILURE_[%u_]+: return \"([%l_]+)\"") do
      kinds[#kinds + 1] = name
    end
    assert.same(sorted(kinds), sorted(literals "podero.ErrorKind"))
    local row = {}
    for name in reference.errors:match("\n| `kind` |([^\n]+)"):gmatch("`([%l_]+)`") do
      if name ~= "nil" then row[#row + 1] = name end
    end
    assert.same(sorted(kinds), sorted(row))
    assert.same(sorted(column("errors", "`([%l_]+)`")), sorted(fields "podero.Error"))
    local _, err = client:list_users("no UUID")
    local declared = fields "podero.Error"
    for name in pairs(err) do assert.truthy(declared[name], name) end
    for name, kind in pairs(declared) do
      if not kind:find("?", 1, true) then assert.truthy(err[name] ~= nil, name) end
    end
  end)

  it("has the fields of events, as has the reference", function()
    for kind, class in pairs { exchange = "Exchange", retry = "Retry", store = "Store" } do
      local names, row = { "type" }, reference.events:match(("\n| `\"%s\"` |([^\n]+)"):format(kind))
      for name in row:gmatch("`([%l_]+)`") do
        if name ~= "token_store" then names[#names + 1] = name end
      end
      local declared = fields("podero." .. class .. "Event")
      assert.same(sorted(names), sorted(declared))
      assert.equal(("%q"):format(kind), declared.type)
    end
  end)

  it("has the roles", function()
    assert.same(ROLES, literals "podero.Role")
    local names = {}
    for name, kind in pairs(fields "podero.Roles") do
      assert.equal(kind, ("%q"):format(podero.Role[name]))
      names[#names + 1] = name:lower()
    end
    assert.same(sorted(ROLES), sorted(names))
  end)

  it("has the fields of a user with the schema's types, as has the command", function()
    local expected = {}
    for name, kind in pairs(SCHEMA) do expected[name] = kind:gsub("Role", "podero.Role") end
    assert.same(expected, fields "podero.User")
    local columns = assert(loadfile("src/command/columns.lua"))()
    columns.types = nil
    assert.same(mock_users.FIELDS, columns)
    assert.same(sorted(SCHEMA), sorted(mock_users.FIELDS))
  end)

  it("names the environment variables, as do the reference and the man page", function()
    local man = helper.read("docs/podero.1")
    for name in helper.read("src/lua/options.c"):gmatch("\"(PODERO_[%u_]+)\"") do
      assert.truthy(types:find("`" .. name .. "`", 1, true), name)
      assert.truthy(reference.options:find("\n| `" .. name .. "` | `", 1, true), name)
      assert.truthy(man:find(".It Ev " .. name .. "\n", 1, true), name)
    end
  end)
end)
