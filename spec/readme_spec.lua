-- Every command of the README, pasted in its order into one shell, in a copy of the tree. What would change the
-- machine, or needs another one, is stood in for: see PRELUDE.

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

-- The README installs for Lua 5.4.
if _VERSION ~= "Lua 5.4" or helper.CHECKED then return end

-- The tree is there already, packages are too (.ci/packages), what is installed goes below $TREE, and the credentials
-- are those of the mock Partner API.
local PRELUDE = [[
set -e
git() { [ "$1" = clone ]; }
cd() { [ "$1" = podero-lua ]; }
sudo() { "$@"; }
apt-get() { [ "$1 $2" = 'install -y' ]; shift 2; dpkg-query -W "$@" >/dev/null; }
luarocks() { command luarocks --tree "$TREE/rocks" "$@"; }
make() {
  case $1 in
    demo | LUA=* | install) command make "$@" PREFIX="$TREE" ;;
    *) command make -n "$@" >/dev/null ;; # too long for this place, or a server that does not end
  esac
}
export() { :; }
]]

describe("README.md", function()
  local server, folder
  local readme = helper.read("README.md")

  setup(function()
    server = mock.start { tls = false }
    folder = helper.shell("mktemp -d \"${TMPDIR:-/tmp}/podero-readme.XXXXXX\""):gsub("%s+$", "")
    helper.shell(("mkdir %s/tree && tar -c --exclude=./build --exclude=./.git . | tar -x -C %s/tree"):format(
      folder, folder))
  end)
  teardown(function()
    server:stop()
    helper.shell("rm -rf " .. folder)
  end)

  it("has commands that work when pasted in their order", function()
    local script = { PRELUDE }
    for block in readme:gmatch("\n```sh\n(.-)\n```") do
      for line in block:gmatch("[^\n]+") do
        -- The line is shown, so that a failure tells which it was.
        script[#script + 1] = ("echo %s\n%s"):format(helper.quoted("$ " .. line), line)
      end
    end
    assert.truthy(#script > 8)
    script[#script + 1] = "echo done"
    local file = assert(io.open(folder .. "/script.sh", "w"))
    file:write(table.concat(script, "\n"), "\n")
    file:close()
    local installed = folder .. "/installed"
    local environment = helper.environment {
      PODERO_BASE_URL = server.url,
      PODERO_CLIENT_ID = mock.credentials.client_id,
      PODERO_CLIENT_SECRET = mock.credentials.client_secret,
      TREE = installed,
      PATH = installed .. "/bin:" .. os.getenv("PATH"),
      LUA_PATH = installed .. "/share/lua/5.4/?.lua;;",
      LUA_CPATH = installed .. "/lib/lua/5.4/?.so;;",
    }
    local without = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u LUA_PATH_5_4 -u LUA_CPATH_5_4 "
      .. "-u LUA_PATH_5_5 -u LUA_CPATH_5_5"
    local output, code = helper.shell(("cd %s/tree && %s %s bash ../script.sh </dev/null"):format(
      folder, without, environment))
    assert.equal(0, code, output)
    assert.truthy(output:find("\ndone\n$"), output)
    assert.truthy(output:find("$ make demo\nROLE +NAME"), output)
    assert.truthy(output:find("--role admin\nROLE [^\n]+\nadmin +Anna Gruber", 1), output)
    assert.truthy(output:find("\nexpires  %d%d%d%d", 1), output)
    assert.truthy(helper.read(folder .. "/tree/users.csv"):find("^id,organization_id"))
  end)

  it("has Lua that is Lua", function()
    local count = 0
    for block in readme:gmatch("\n```lua\n(.-)\n```") do
      local chunk = block:find("^wait = ") and "return { " .. block .. " }" or block
      assert((loadstring or load)(chunk))
      count = count + 1
    end
    assert.truthy(count >= 3)
  end)

  it("is not alone: SECURITY.md names specs that exist, and tests of theirs", function()
    local text = helper.read("SECURITY.md"):gsub("%s+", " ")
    local specs, tests = 0, 0
    for name, rest in text:gmatch("`(spec/[%w_/.]+)`()") do
      local source = helper.read(name)
      specs = specs + 1
      -- After a colon: beginnings or parts of names, in quotes, with commas between.
      local from = text:match("^: ()\"", rest)
      while from do
        local test, after = text:match("^\"([^\"]+)\"()", from)
        assert.truthy(source:find(test, 1, true), name .. ": " .. test)
        tests, from = tests + 1, text:match("^, ()\"", after)
      end
    end
    assert.is_true(specs > 40 and tests > 40, ("%d specs, %d tests"):format(specs, tests))
  end)

  it("and CONTRIBUTING.md name files that exist, and targets that make has", function()
    local makefile = helper.read("Makefile")
    for _, name in ipairs { "README.md", "CONTRIBUTING.md" } do
      local text = helper.read(name)
      for target in text:gmatch("%]%(([%w/._-]+)%)") do
        assert.equal(0, select(2, helper.shell("test -e " .. target)), name .. ": " .. target)
      end
      for targets in text:gmatch("`make ([%l -]+)[%u_=%d]*`") do
        for target in targets:gmatch("[%l-]+") do
          assert.truthy(makefile:find("\n" .. target:gsub("%-", "%%-") .. ":"), name .. ": make " .. target)
        end
      end
    end
  end)
end)
