local helper = require "spec.support.helper"
local podero = require "podero"

-- Nothing here depends on the Lua.
if _VERSION ~= "Lua 5.4" then return end

local function sorted(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

describe("the man page", function()
  local man = helper.read("docs/podero.1")

  it("is one that mandoc finds nothing wrong with", function()
    assert.same({ "", 0 }, { helper.shell("mandoc -Tlint -Wstyle docs/podero.1") })
  end)

  it("has the options that the command has", function()
    local found, declared = {}, {}
    for name in man:gmatch("\n%.It Fl %-([%l-]+)") do found[name] = true end
    for name in man:gmatch("\n%.It Fl %a , Fl %-([%l-]+)") do found[name] = true end
    -- Those that any command declares, see src/command/option.lua.
    local sources = helper.shell("cat src/command/*.lua src/command/commands/*.lua")
    for name in sources:gmatch("[^%w]option%(\"[^\"]-%-%-([%l-]+)") do declared[name] = true end
    assert.same(sorted(declared), sorted(found))
  end)

  it("has the version of the module", function()
    assert.equal(podero._VERSION, man:match("\n%.Os (podero %S+)\n"))
  end)
end)

describe("make docs", function()
  it("makes a site of types, README, examples and man page, and finds nothing wrong", function()
    local output, code = helper.shell("env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make docs")
    assert.equal(0, code, output)
    local index = helper.read("build/docs/index.html")
    for _, name in ipairs { "new", "time", "Client:list_users", "Client:each_user",
      "Client:find_user", "Client:list_users_of",
      "Client:get", "Client:token", "Client:close", "Options", "User", "Error" } do
      assert.truthy(index:find(('<a name = "%s"></a>'):format(name), 1, true), name)
    end
    assert.truthy(helper.read("build/docs/topics/README.md.html"):find("<h1>podero", 1, true))
    assert.truthy(helper.read("build/docs/podero.1.html"):find("--include-deleted", 1, true))
  end)
end)
