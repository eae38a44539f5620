local helper = require "spec.support.helper"
local podero = require "podero"

local VERSION = podero._VERSION:match("^podero (%d+%.%d+%.%d+)$")
local RELEASE, SCM = ("rockspec/podero-%s-1.rockspec"):format(VERSION), "rockspec/podero-scm-1.rockspec"

--- Runs a shell command that has to succeed. Returns its output.
local function shell(command, ...)
  local output, code = helper.shell(command:format(...))
  assert.equal(0, code, output)
  return (output:gsub("%s+$", ""))
end

describe("the release", function()
  it("has the same version in the module, the rockspec and the change log", function()
    local rockspec = helper.read(RELEASE)
    assert.equal(VERSION .. "-1", rockspec:match("version = \"(.-)\""))
    assert.equal("v" .. VERSION, rockspec:match("tag = \"(.-)\""))
    assert.equal(VERSION, helper.read("CHANGELOG.md"):match("\n## (%d+%.%d+%.%d+)"))
  end)

  it("has a rockspec with the same content for the development version", function()
    local expected = helper.read(RELEASE):gsub("version = \"[%d.]+%-1\"", "version = \"scm-1\"")
      :gsub("tag = \"v[%d.]+\"", "branch = \"main\"")
    assert.equal(expected, helper.read(SCM))
  end)
end)

--- A copy of the tree without build files.
local function copy_of_tree()
  local dir = shell("mktemp -d \"${TMPDIR:-/tmp}/podero-rock.XXXXXX\"")
  shell("cp -R Makefile src tools rockspec docs types packaging %s", dir)
  return dir
end

local WITHOUT_PATHS = "cd / && env -u LUA_PATH -u LUA_CPATH -u LUA_PATH_5_2 -u LUA_CPATH_5_2 -u LUA_PATH_5_3 "
  .. "-u LUA_CPATH_5_3 -u LUA_PATH_5_4 -u LUA_CPATH_5_4 -u LUA_PATH_5_5 -u LUA_CPATH_5_5"

--- The version in the names of folders.
local function version_of(lua)
  return lua == "luajit" and "5.1" or lua:match("%d.%d")
end

--- Checks the result of both ways of installing: module and command below `prefix`, types and man page at `files`.
local function check_installed(prefix, lua, files)
  local version = version_of(lua)
  local environment = ("%s LUA_PATH='%s/share/lua/%s/?.lua;;' LUA_CPATH='%s/lib/lua/%s/?.so;;'"):format(
    WITHOUT_PATHS, prefix, version, prefix, version)
  local module = "local open = assert(package.loadlib('%s/lib/lua/%s/podero.so', 'luaopen_podero')) "
    .. "print(open()._VERSION)"
  assert.equal(podero._VERSION, shell("%s %s -e \"" .. module .. "\"", WITHOUT_PATHS, lua, prefix, version))
  assert.equal(podero._VERSION, shell("%s %s/bin/podero --version", environment, prefix))
  assert.equal(helper.read("types/podero.lua"), helper.read(files.types))
  assert.equal(helper.read("types/podero/mock.lua"), helper.read((files.types:gsub("%.lua$", "/mock.lua"))))
  assert.equal(helper.read("docs/podero.1"), helper.read(files.man))
end

describe("make install", function()
  local dir, lua

  setup(function()
    dir = copy_of_tree()
    lua = helper.interpreter():match("[^/]*$")
  end)
  teardown(function() helper.shell("rm -rf " .. dir) end)

  -- The options of an outer make must not reach this one.
  local MAKE = "cd %s && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s LUA=%s "

  it("installs a command that finds its modules, wherever PREFIX is", function()
    local prefix = dir .. "/anywhere"
    shell(MAKE .. "install PREFIX=%s CFLAGS=-O0", dir, lua, prefix)
    assert.equal(podero._VERSION, shell("%s %s/bin/podero --version", WITHOUT_PATHS, prefix))
  end)

  it("installs everything below DESTDIR and PREFIX, built with CFLAGS and LDFLAGS", function()
    shell(MAKE .. "install PREFIX=/opt/x DESTDIR=%s/dest CFLAGS=-O0 LDFLAGS=-Wl,-soname,ours.so", dir, lua, dir)
    local prefix = dir .. "/dest/opt/x"
    check_installed(prefix, lua, {
      types = prefix .. "/share/podero/types/podero.lua",
      man = prefix .. "/share/man/man1/podero.1",
    })
    for source, place in pairs {
      ["podero.bash"] = "bash-completion/completions/podero", _podero = "zsh/site-functions/_podero",
      ["podero.fish"] = "fish/vendor_completions.d/podero.fish",
    } do
      assert.equal(helper.read("packaging/completions/" .. source), helper.read(prefix .. "/share/" .. place))
    end
    assert.truthy(shell("readelf -d %s/lib/lua/%s/podero.so", prefix, version_of(lua)):find("ours.so", 1, true))
    assert.equal("", shell("find %s/dest -type f -not -path '*/opt/x/*'", dir))
  end)
end)

-- LuaRocks builds for any version of Lua, whichever runs this. It takes a while.
if _VERSION ~= "Lua 5.4" then return end

describe("the rock", function()
  local dir

  setup(function() dir = copy_of_tree() end)
  teardown(function() helper.shell("rm -rf " .. dir) end)

  for _, rockspec in ipairs { RELEASE, SCM } do
    it("has a rockspec that passes luarocks lint: " .. rockspec, function()
      shell("luarocks lint %s", rockspec)
    end)
  end

  for _, version in ipairs { "5.4", "5.1" } do
    -- LuaRocks does not know Debian's lua-cjson, and specs do not use the network.
    local luarocks = "cd %s && luarocks --lua-version " .. version .. " --tree %s/%s %s --deps-mode none"

    --- Checks the content of the tree after an installation of this version of the rock.
    local function check_tree(tree, rock_version)
      local rock = ("%s/lib/luarocks/rocks-%s/podero/%s"):format(tree, version, rock_version)
      check_installed(tree, "lua" .. version, {
        types = rock .. "/types/podero.lua",
        man = rock .. "/docs/podero.1",
      })
      assert.equal("podero\npodero.so", shell("ls %s/lib/lua/%s", tree, version))
      -- The man page, and the guide and the reference as Markdown.
      assert.equal(table.concat({
        "bin/podero", shell("find docs -name podero.1 -o -name '*.md' | LC_ALL=C sort"),
        ("podero-%s.rockspec"):format(rock_version), "rock_manifest", "types/podero.lua",
        "types/podero/mock.lua",
      }, "\n"), shell("cd %s && find * -type f | LC_ALL=C sort", rock))
      -- `sudo luarocks make` would leave a build folder that belongs to root.
      assert.equal("", shell("find %s -name build", dir))
    end

    it("is installed by `luarocks make` without arguments, on Lua " .. version, function()
      shell(luarocks, dir, dir, "made" .. version, "make")
      check_tree(("%s/made%s"):format(dir, version), "scm-1")
    end)

    it("can be packed, and installed from the packed file into an empty tree, on Lua " .. version, function()
      shell(luarocks, dir, dir, "release" .. version, "make " .. RELEASE)
      shell("cd %s && luarocks --lua-version %s --tree %s/release%s pack podero %s", dir, version, dir, version,
        VERSION)
      shell("rm -rf %s/release%s", dir, version)
      local file = shell("ls %s/podero-%s-1.*.rock", dir, VERSION)
      shell(luarocks, dir, dir, "packed" .. version, "install " .. file)
      shell("rm %s", file)
      check_tree(("%s/packed%s"):format(dir, version), VERSION .. "-1")
    end)
  end
end)
