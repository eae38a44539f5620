--- The Debian packages of build/deb in a minimal chroot: `make test-deb`, as root.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"

local BASE, ROOT = "build/debian-bookworm", "build/debian-bookworm.packages"
local LUAS = { ["lua5.1"] = "5.1", ["lua5.2"] = "5.2", ["lua5.3"] = "5.3", ["lua5.4"] = "5.4", luajit = "5.1" }
local USERS = 7

--- Runs a shell command, which has to succeed. Returns its output.
local function shell(line)
  local output, code = helper.shell(line)
  assert.equal(0, code, output)
  return (output:gsub("\n$", ""))
end

--- Runs a shell command in the chroot. `environment` as for helper.environment; may be nil. Returns its output and exit
-- code.
local function try(line, environment)
  local words = environment and helper.environment(environment) .. " " or ""
  return helper.shell(("tools/chroot.sh run %s %ssh -c %s"):format(ROOT, words, helper.quoted(line)))
end

--- Runs a command in the chroot, which has to succeed. Returns its output.
local function run(line, environment)
  local output, code = try(line, environment)
  assert.equal(0, code, line .. "\n" .. output)
  return (output:gsub("\n$", ""))
end

local APT = "DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends "

local function install()
  return run(APT .. "install /srv/packages/*.deb")
end

local function purge()
  return run(APT .. "purge podero lua-podero")
end

--- All files except logs and records of the system.
local function files()
  return run("find / -xdev -path /var/cache -prune -o -path /var/log -prune -o -path /var/lib/apt -prune "
    .. "-o -path /var/lib/dpkg -prune -o -path /srv/packages -prune -o -print | LC_ALL=C sort")
end

describe("the Debian packages", function()
  local server, environment

  setup(function()
    shell("tools/chroot.sh make bookworm " .. BASE)
    shell(("rm -rf --one-file-system %s && cp -a %s %s"):format(ROOT, BASE, ROOT))
    shell(("mkdir %s/srv/packages && cp build/deb/podero_*.deb build/deb/lua-podero_*.deb %s/srv/packages"):format(ROOT,
      ROOT))
    run "apt-get update -q"
    server = mock.start { tls = false }
    server:configure { organizations = { [mock.ORG] = { users = USERS } } }
    environment = command.environment(server)
  end)
  teardown(function()
    if server then server:stop() end
    shell("rm -rf --one-file-system " .. ROOT)
  end)

  it("depend on all that the command needs", function()
    install()
    assert.equal(podero._VERSION, run "podero --version")
    assert.equal(tostring(USERS), run("podero users --count " .. mock.ORG, environment))
  end)

  it("leave no files when they are purged", function()
    purge()
    assert.equal("", run "find / -xdev -path /srv/packages -prune -o -name '*podero*' -print")
    assert.equal("", run "dpkg-query -W -f '${Package}\\n' | grep podero || true")
  end)

  describe("on a system with each Lua, and shells", function()
    local before

    setup(function()
      local names = { "man-db", "bash-completion", "zsh", "fish" }
      for lua in pairs(LUAS) do names[#names + 1] = lua end
      run(APT .. "install " .. table.concat(names, " "))
      before = files()
      install()
    end)

    for lua, version in pairs(LUAS) do
      it("are found in Debian's folders by " .. lua, function()
        assert.equal(podero._VERSION, run(lua .. " -e 'print(require(\"podero\")._VERSION)'"))
        assert.truthy(run("dpkg -L lua-podero"):find("/usr/lib/[%w_-]+/lua/" .. version .. "/podero.so\n"))
      end)

      it("list users on " .. lua, function()
        local program = "local client = assert(require \"podero\".new()) "
          .. "local users = assert(client:list_users \"%s\") print(#users)"
        assert.equal(tostring(USERS), run(lua .. " -e " .. helper.quoted(program:format(mock.ORG)), environment))
      end)

      it("let programs on " .. lua .. " use the command's modules", function()
        run(lua .. " -e 'require \"podero.command.rows\" require \"podero.command.text\"'")
      end)
    end

    it("print users with the command", function()
      local lines = run("podero users --format ndjson " .. mock.ORG, environment) .. "\n"
      assert.equal(USERS, select(2, lines:gsub("\n", "")), lines)
    end)

    it("have the man page", function()
      assert.truthy(run("MANWIDTH=80 man podero"):find("podero .- list users of organizations"))
    end)

    it("complete words in bash", function()
      assert.equal("users", run("bash -c " .. helper.quoted(". /usr/share/bash-completion/bash_completion\n"
        .. "_completion_loader podero; COMP_WORDS=(podero us) COMP_CWORD=1; _podero; echo \"${COMPREPLY[@]}\"")))
    end)

    it("complete words in zsh", function()
      assert.equal("_podero\n/usr/share/zsh/vendor-completions/_podero", run("zsh -c " .. helper.quoted(
        "autoload -Uz compinit; compinit -D -u; echo $_comps[podero]; autoload +X _podero; whence -v _podero "
        .. "| sed 's/.* from //'")))
    end)

    it("complete words in fish", function()
      assert.equal("users\tList the users of organizations.", run "HOME=/tmp fish -c 'complete -C \"podero us\"'")
    end)

    it("have the types for editors", function()
      assert.is_true(helper.read "types/podero.lua" == run "cat /usr/share/podero/types/podero.lua" .. "\n")
    end)

    it("have only files that match their checksums, and none of another package", function()
      assert.equal("", run "dpkg --verify podero lua-podero")
    end)

    it("leave the system unchanged when they are purged after use", function()
      purge()
      assert.equal(before, files())
    end)
  end)
end)
