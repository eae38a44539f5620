-- Runs the commands of README and site in order, in one shell for each page, in a copy of the tree. PRELUDE replaces
-- commands that would change the machine or need another one.

local documents = require "spec.support.documents"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

-- The README installs for Lua 5.4.
if _VERSION ~= "Lua 5.4" or helper.CHECKED then return end

-- The tree exists, packages are installed (.ci/packages), installations go below $TREE, and the credentials are those
-- of the mock Partner API.
local PRELUDE = [[
set -e
git() { [ "$1" = clone ] || [ "$1" = tag ] || [ "$1" = diff ]; }
cd() { [ "$1" = podero-lua ]; }
sudo() { "$@"; }
apt-get() {
  [ "$1 $2" = 'install -y' ]
  shift 2
  for package; do [ "$package" = git ] || dpkg-query -W "$package" >/dev/null; done
}
luarocks() {
  case $1 in
    upload) true ;;
    *) command luarocks --tree "$TREE/rocks" "$@" ;;
  esac
}
make() {
  case "$*" in
    *LUA=luajit* | *documentation_spec*) command make -n "$@" >/dev/null ;; # not built in the copy; other specs run it
    spec\ *) env -u PODERO_BASE_URL -u PODERO_CLIENT_ID -u PODERO_CLIENT_SECRET make "$@" ;;
    demo | LUA=lua5.4 | 'install LUA=lua5.4 '*) command make "$@" PREFIX="$TREE" ;;
    *) command make -n "$@" >/dev/null ;; # takes too long, or is a server that does not end
  esac
}
export() { :; }
nginx() { :; } # spec/site_spec.lua starts it
]]

describe("the repository", function()
  local server, folder
  local readme = helper.read("README.md")

  setup(function()
    server = mock.start { tls = false }
    folder = helper.shell("mktemp -d \"${TMPDIR:-/tmp}/podero-readme.XXXXXX\""):gsub("%s+$", "")
    helper.shell(("mkdir %s/tree && { find . -path ./.git -prune -o -path ./build -prune -o -type f -print; "
      .. "find build/lua5.4 -type f; } | tar -c -T - | tar -x -C %s/tree"):format(folder, folder))
  end)
  teardown(function()
    server:stop()
    helper.shell("rm -rf " .. folder)
  end)

  --- Runs the commands of a page in one shell. Returns their output.
  local function pasted(name)
    local script = { PRELUDE }
    for _, block in ipairs(documents.blocks_in(name, "sh")) do
      for line in block.text:gsub("\\\n%s*", ""):gmatch("[^\n]+") do
        -- Prints each line, so that a failure shows which one it was.
        script[#script + 1] = ("echo %s\n%s"):format(helper.quoted("$ " .. line), line)
      end
    end
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
      INSTALL_PACKAGES = "no",
      WERROR = "-Werror", -- as in the copied build, so that it is not built again
      LUA_PATH = installed .. "/rocks/share/lua/5.4/?.lua;;",
      LUA_CPATH = installed .. "/rocks/lib/lua/5.4/?.so;;",
      PATH = installed .. "/rocks/bin:" .. installed .. "/bin:" .. os.getenv("PATH"),
    }
    local without = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u LUA_PATH_5_4 -u LUA_CPATH_5_4 -u BUSTED "
      .. "-u LUA_PATH_5_5 -u LUA_CPATH_5_5"
    local output, code = helper.shell(("cd %s/tree && %s %s bash ../script.sh </dev/null"):format(
      folder, without, environment))
    assert.equal(0, code, output)
    assert.truthy(output:find("\ndone\n$"), output)
    return output
  end

  it("has commands in README.md that work in order", function()
    local output = pasted "README.md"
    assert.truthy(output:find("--role admin\nROLE [^\n]+\nadmin +Anna Gruber", 1), output)
    assert.truthy(output:find("anna.gruber.100001@example.com\nROLE [^\n]+\nadmin +Anna Gruber", 1), output)
    assert.truthy(helper.read(folder .. "/tree/users.csv"):find("^id,organization_id"))
    assert.truthy(output:find("FILE=spec/arguments_spec.lua\n.- passed, 0 failed"), output)
  end)

  for _, name in ipairs(documents.names()) do
    if name ~= "README.md" and documents.blocks_in(name, "sh")[1] then
      it("has commands in " .. name .. " that work in order", function() pasted(name) end)
    end
  end

  it("has a README.md of at most 1,200 words", function()
    assert.is_true(select(2, readme:gsub("%S+", "")) <= 1200)
  end)

  it("has the specs and tests that SECURITY.md names", function()
    local text = helper.read("SECURITY.md"):gsub("%s+", " ")
    local specs, tests = 0, 0
    for name, rest in text:gmatch("`(spec/[%w_/.]+)`()") do
      local source = helper.read(name)
      specs = specs + 1
      -- After a colon: parts of names, in quotes, separated by commas.
      local from = text:match("^: ()\"", rest)
      while from do
        local test, after = text:match("^\"([^\"]+)\"()", from)
        assert.truthy(source:find(test, 1, true), name .. ": " .. test)
        tests, from = tests + 1, text:match("^, ()\"", after)
      end
    end
    assert.is_true(specs > 40 and tests > 40, ("%d specs, %d tests"):format(specs, tests))
  end)

  it("has the folders that CONTRIBUTING.md names", function()
    local layout = helper.read("CONTRIBUTING.md"):match("\n## The layout\n(.-)\n## ")
    local count = 0
    for cell in layout:gmatch("\n| ([^|\n]+) |") do
      for name in cell:gmatch("`([^`]+)`") do
        assert.equal(0, select(2, helper.shell("ls -d " .. name .. (name:find("/$") and "" or "*"))), name)
        count = count + 1
      end
    end
    assert.is_true(count > 15)
  end)

  it("has the files and make targets that README.md and CONTRIBUTING.md name", function()
    local makefile = helper.read("Makefile")
    for _, name in ipairs { "README.md", "CONTRIBUTING.md" } do
      local text = helper.read(name)
      for target in text:gmatch("%]%(([%w/._-]+)%)") do
        assert.equal(0, select(2, helper.shell("test -e " .. target)), name .. ": " .. target)
      end
      for targets in text:gmatch("`make ([%l%d -]+)[%u_=%d]*`") do
        for target in targets:gmatch("[%l%d-]+") do
          assert.truthy(makefile:find("\n" .. target:gsub("%-", "%%-") .. ":"), name .. ": make " .. target)
        end
      end
    end
  end)
end)
