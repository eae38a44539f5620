local helper = require "spec.support.helper"
local podero = require "podero"

local function read(name)
  local file = assert(io.open(name))
  local text = file:read("*a")
  file:close()
  return text
end

local ROCKSPEC = "rockspec/podero-0.1.0-1.rockspec"

describe("the release", function()
  it("has one version: in the module, the rockspec and the change log", function()
    local version = podero._VERSION:match("^podero (%d+%.%d+%.%d+)$")
    local rockspec = read(ROCKSPEC)
    assert.equal(version .. "-1", rockspec:match("version = \"(.-)\""))
    assert.equal("v" .. version, rockspec:match("tag = \"(.-)\""))
    assert.equal(version, read("CHANGELOG.md"):match("\n## (%d+%.%d+%.%d+)"))
  end)
end)

-- LuaRocks builds for other Luas than the one that runs it: once is enough, and it takes a while.
if _VERSION ~= "Lua 5.4" then return end

describe("the rock", function()
  local dir

  setup(function()
    dir = helper.shell("mktemp -d"):gsub("%s+$", "")
    assert.equal(0, select(2, helper.shell("cp -R Makefile src rockspec " .. dir)))
  end)
  teardown(function() helper.shell("rm -rf " .. dir) end)

  it("has a rockspec that luarocks finds nothing wrong with", function()
    local output, code = helper.shell("luarocks lint " .. ROCKSPEC)
    assert.equal(0, code, output)
  end)

  for _, version in ipairs { "5.4", "5.1" } do
    it("is made by `luarocks make` without further variables, and works from its tree, on Lua " .. version, function()
      -- Debian's lua-cjson is no rock that LuaRocks knows of, and the network is not for specs.
      local output, code = helper.shell(("cd %s && luarocks --lua-version %s --tree %s/tree make --deps-mode none")
        :format(dir, version, dir))
      assert.equal(0, code, output)
      local tree = ("%s/tree/lib/lua/%s"):format(dir, version)
      local files = helper.shell("ls " .. tree)
      assert.equal("podero.so", (files:gsub("%s+$", "")))
      local program = "env -u LUA_CPATH_5_4 LUA_CPATH='%s/?.so;;' lua%s -e \"print(require('podero')._VERSION)\""
      output, code = helper.shell(program:format(tree, version))
      assert.equal(0, code, output)
      assert.equal(podero._VERSION, (output:gsub("%s+$", "")))
    end)
  end

  it("is installed by make install, where PREFIX and DESTDIR say", function()
    local command = "cd %s && make -s install LUA=lua5.4 PREFIX=/opt/x DESTDIR=%s/dest"
    local output, code = helper.shell(command:format(dir, dir))
    assert.equal(0, code, output)
    assert.truthy(io.open(dir .. "/dest/opt/x/lib/lua/5.4/podero.so"))
  end)
end)
