--- The Makefile as users and packagers use it.

local helper = require "spec.support.helper"
local podero = require "podero"

-- Nothing here depends on the version of Lua, and it takes a while.
if _VERSION ~= "Lua 5.4" then return end

local quoted, shell = helper.quoted, helper.shell

describe("the Makefile", function()
  local dir, interpreter, headers

  setup(function()
    dir = shell("mktemp -d \"${TMPDIR:-/tmp}/podero-makefile.XXXXXX\""):gsub("%s+$", "")
    assert.equal("", (shell(("mkdir %s/tree && tar -c --exclude=./build --exclude=./.git . | tar -x -C %s/tree"):format(
      dir, dir))))
    interpreter = shell("command -v " .. helper.interpreter()):gsub("%s+$", "")
    headers = shell("pkg-config --cflags-only-I lua5.4"):match("^%-I(%S+)")
  end)
  teardown(function() shell("rm -rf " .. dir) end)

  --- Runs make in a copy of the tree, with these arguments and environment variables. Returns its output and exit code.
  local function make(words, environment)
    -- The options of an outer make must not reach this one.
    return shell(("cd %s/tree && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u VARIANT %s make CFLAGS=-O0 %s"):format(dir,
      environment or "", words))
  end

  --- As make, which has to succeed. Returns its output.
  local function made(words, environment)
    local output, code = make(words, environment)
    assert.equal(0, code, output)
    return output
  end

  --- Checks that make fails with one line that has these texts. (Make adds a line about the failed recipe.)
  local function fails(words, ...)
    local output, code = make(words, "PKG_CONFIG_PATH=/nowhere PKG_CONFIG_LIBDIR=/nowhere")
    assert.equal(2, code)
    output = output:gsub("make: %*%*%* %[[^\n]*\n?", "")
    assert.equal(1, select(2, (output .. "\n"):gsub("[^\n]+", "")), output)
    for _, text in ipairs { ... } do assert.truthy(output:find(text, 1, true), output) end
  end

  --- A folder with an interpreter and perhaps its headers, as if Lua were installed from source.
  local function own_lua(name, with_headers)
    local prefix = dir .. "/" .. name
    shell(("mkdir -p %s/bin && cp %s %s/bin/lua"):format(prefix, interpreter, prefix))
    if with_headers then shell(("ln -s %s %s/include"):format(headers, prefix)) end
    return prefix
  end

  describe("says in one line what is wrong:", function()
    it("a missing interpreter", function()
      fails("LUA=lua-of-nobody", "lua-of-nobody is missing, or no Lua", "install lua5.4")
      fails("LUA=/nowhere/bin/lua", "/nowhere/bin/lua is missing, or no Lua")
      fails("LUA=true", "true is missing, or no Lua")
      fails("LUA=lua-of-nobody uninstall", "lua-of-nobody is missing, or no Lua")
    end)

    it("a missing compiler", function()
      fails("LUA=lua5.4 CC=cc-of-nobody", "the C compiler cc-of-nobody is missing: install gcc")
    end)

    it("an unknown compiler flag, in the compiler's words", function()
      fails("LUA=lua5.4 CFLAGS=-fflag-of-nobody", "-fflag-of-nobody")
    end)

    it("missing headers of Lua", function()
      local lua = own_lua "without-headers" .. "/bin/lua"
      fails("LUA=" .. lua, "headers of " .. lua .. " (5.4) are missing: install liblua5.4-dev ")
    end)

    it("a missing pkg-config if the headers are not found without it", function()
      local without = " PKG_CONFIG=pkg-config-of-nobody"
      fails("LUA=" .. own_lua "without-headers" .. "/bin/lua" .. without, "install pkg-config, liblua5.4-dev")
      fails("LUA=luajit-of-nobody" .. without, "install pkg-config, libluajit2-5.1-dev")
    end)

    it("missing headers in LUA_INCDIR", function()
      fails("LUA=lua5.4 LUA_INCDIR=/nowhere", "lua5.4 is Lua 5.4", "-I/nowhere")
    end)

    it("headers of another version in LUA_INCDIR", function()
      local other = dir .. "/other"
      shell(("mkdir -p %s && echo '#define LUA_VERSION_NUM 501' >%s/lua.h"):format(other, other))
      fails("LUA=lua5.4 LUA_INCDIR=" .. other, "lua5.4 is Lua 5.4", "-I" .. other)
    end)

    it("missing headers of libcurl", function()
      shell(("mkdir -p %s/no-curl/curl && echo '#error' >%s/no-curl/curl/curl.h"):format(dir, dir))
      fails(("LUA=lua5.4 CPPFLAGS=-I%s/no-curl"):format(dir),
        "headers of libcurl are missing: install libcurl4-openssl-dev")
    end)

    it("a FILE of make spec that does not exist", function()
      fails("spec FILE=spec/none_spec.lua", "there is no spec/none_spec.lua")
    end)
    it("a missing FILE of make spec", function() fails("spec", "FILE is missing: make spec FILE=spec/get_spec.lua") end)
  end)

  --- The value of a make variable.
  local function value(name, words, environment)
    return (made(("-s --eval='tell: ; @echo $(%s)' tell %s"):format(name, words), environment):gsub("%s+$", ""))
  end

  it("asks the interpreter for its version, whatever its name is", function()
    local prefix = own_lua "any-name"
    assert.equal("5.4", value("LUA_VERSION", "LUA=" .. prefix .. "/bin/lua"))
    shell(("mv %s/bin/lua %s/bin/lua5.1"):format(prefix, prefix))
    assert.equal("5.4", value("LUA_VERSION", "LUA=lua5.1", "PATH=" .. prefix .. "/bin:$PATH"))
  end)

  it("takes the version from the name of an interpreter that cannot be run", function()
    local versions = { ["lua5.9"] = "5.9", lua59 = "5.9", ["lua-5.9"] = "5.9", ["luajit-of-nobody"] = "5.1" }
    for name, version in pairs(versions) do
      assert.equal(version, value("LUA_VERSION", "LUA=" .. name))
    end
  end)

  it("finds the headers beside an interpreter given by its path, and otherwise asks pkg-config", function()
    local prefix = own_lua("with-headers", true)
    assert.equal(("-I%s/include"):format(prefix), value("LUA_CFLAGS", "LUA=" .. prefix .. "/bin/lua"))
    assert.equal("-I" .. headers, value("LUA_CFLAGS", "LUA=" .. own_lua "any-name" .. "/bin/lua"))
  end)

  describe("builds", function()
    -- An object that compiles quickly.
    local TARGET = "LUA=lua5.4 build/lua5.4/core/utf8.o "

    it("with a short line for each file, with full commands if V=1, and silently with -s", function()
      assert.equal("CC  src/core/utf8.c\n", made(TARGET .. "-B"))
      assert.truthy(made(TARGET .. "-B V=1"):find("^cc %-std=c11 .* %-o build/lua5.4/core/utf8.o src/core/utf8.c\n$"))
      assert.equal("", made(TARGET .. "-B -s"))
    end)

    it("again what depends on changed flags, and nothing else", function()
      made(TARGET)
      assert.equal("", (made(TARGET):gsub("make: 'build/lua5.4/core/utf8.o' is up to date.\n", "")))
      local other = { "CFLAGS=-O1", "CPPFLAGS=-DNOTHING", "LDFLAGS=-Wl,-O1", "CC=gcc", "CURL_LIBDIR=/nowhere" }
      for _, flags in ipairs(other) do
        made(TARGET)
        assert.equal("CC  src/core/utf8.c\n", made(TARGET .. flags), flags)
      end
    end)

    it("with one call of pkg-config for each purpose", function()
      local log = dir .. "/pkg-config.log"
      shell(("printf '%%s\\n' '#!/bin/sh' 'echo \"$*\" >>%s' 'exec pkg-config \"$@\"' >%s/ask"):format(log, dir))
      shell(("chmod +x %s/ask"):format(dir))
      made(("LUA=lua5.4 PKG_CONFIG=%s/ask build/lua5.4/core/utf8.o build/lua5.4/core/json.o -B"):format(dir))
      local asked = {}
      for line in io.lines(log) do
        assert.is_nil(asked[line], line)
        asked[line] = true
      end
      assert.truthy(asked["--cflags libcurl"])
    end)
  end)

  describe("make install", function()
    local WITHOUT_PATHS = "cd / && env -u LUA_PATH -u LUA_CPATH -u LUA_PATH_5_4 -u LUA_CPATH_5_4 "
      .. "-u LUA_PATH_5_5 -u LUA_CPATH_5_5 "

    for what, prefix in pairs {
      ["in a folder whose name has blanks, commas and quotes"] = "/o'brien, 2 (x)",
      ["in a folder below the current one"] = "below",
    } do
      it("installs a command that starts, " .. what, function()
        local path = prefix:find "^/" and dir .. prefix or dir .. "/tree/" .. prefix
        local given = prefix:find "^/" and path or prefix
        made("-s LUA=lua5.4 install PREFIX=" .. quoted(given))
        assert.equal(podero._VERSION .. "\n", (shell(WITHOUT_PATHS .. quoted(path .. "/bin/podero") .. " --version")))
      end)
    end

    it("installs a command for an interpreter given by a relative path", function()
      local prefix = own_lua("tree/relative", true)
      made("-s LUA=relative/bin/lua install PREFIX=" .. dir .. "/at")
      assert.equal("#!" .. prefix .. "/bin/lua", helper.read(dir .. "/at/bin/podero"):match("^[^\n]*"))
      assert.equal(podero._VERSION .. "\n", (shell(WITHOUT_PATHS .. dir .. "/at/bin/podero --version")))
    end)

    it("is undone by make uninstall, which keeps other files", function()
      made(("-s LUA=lua5.4 install PREFIX=/usr DESTDIR=%s/dest"):format(dir))
      local other = dir .. "/dest/usr/share/lua/5.4/podero/other.lua"
      shell("touch " .. other)
      made(("-s LUA=lua5.4 uninstall PREFIX=/usr DESTDIR=%s/dest"):format(dir))
      assert.equal(other .. "\n", (shell(("find %s/dest -type f -o -type l"):format(dir))))
      shell("rm " .. other)
      made(("-s LUA=lua5.4 uninstall PREFIX=/usr DESTDIR=%s/dest"):format(dir))
      assert.equal("", (shell(("find %s/dest -name '*podero*'"):format(dir))))
    end)
  end)

  describe("make help", function()
    it("prints groups of lines of at most 80 columns", function()
      local groups = 0
      for line in made("help"):gmatch("[^\n]+") do
        assert.is_true(#line <= 80, line)
        if line:find "^%u" then groups = groups + 1 end
      end
      assert.is_true(groups > 4)
    end)

    it("names only existing targets", function()
      local makefile = "\n" .. helper.read "Makefile"
      for target in made("help"):gmatch("make (%l[%l%d-]*)") do
        assert.truthy(makefile:find("\n" .. target:gsub("%-", "%%-") .. "[^\n:]*:"), target)
      end
    end)
  end)
end)
