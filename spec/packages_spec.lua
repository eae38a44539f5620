-- .ci/packages with fake programs of apt and dpkg, and with its files in a temporary folder.
local helper = require "spec.support.helper"

-- Nothing here depends on the version of Lua.
if _VERSION ~= "Lua 5.4" then return end

-- Each has the folder in $DIR, whose files `installed` and `not-offered` list packages, one a line.
local PROGRAMS = {
  ["dpkg-query"] = [[case "$*" in
    *db:Status*) sed 's/^/installed /' "$DIR/installed" ;;
    *) cat "$DIR/clang-depends" ;;
    esac]],
  ["apt-cache"] = [[case "$1" in
    madison) grep -qx -- "$2" "$DIR/not-offered" || echo "$2 | 1 | mirror" ;;
    *) echo "Depends: $(cat "$DIR/clang-depends")" ;;
    esac]],
  -- Installs, after waiting for $DIR/go if $WAIT is set. Logs what the policy says about three services meanwhile.
  ["apt-get"] = [[
    case "$1" in
    update) echo "E: a repository cannot be reached"; exit "${UPDATE:-0}" ;;
    esac
    echo "install $*" | sed 's/ -y --no-install-recommends//; s/install install/install/' >>"$DIR/log"
    while [ -n "${WAIT:-}" ] && [ ! -e "$DIR/go" ]; do sleep 0.02; done
    for service in nginx redis-server ssh; do
      status=0
      if [ -e "$DIR/policy-rc.d" ]; then "$DIR/policy-rc.d" $service start || status=$?; fi
      echo "policy $service $status" >>"$DIR/log"
    done
    echo end >>"$DIR/log"
    shift
    for package; do case "$package" in -*) ;; *) echo "$package" >>"$DIR/installed" ;; esac; done
    exit "${INSTALL:-0}"]],
  systemctl = "exit 0",
  id = "echo ${USER_ID:-0}",
  sudo = [[echo "sudo" >>"$DIR/log"; exec "$@"]],
}

describe(".ci/packages", function()
  local dir

  local function write(name, text)
    local file = assert(io.open(dir .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end

  local function exists(name) return os.execute("test -e " .. dir .. "/" .. name) == true end

  before_each(function()
    dir = helper.shell("mktemp -d"):match "%S+"
    for name, text in pairs(PROGRAMS) do
      write(name, "#!/bin/sh\n" .. text .. "\n")
      helper.shell(("chmod 755 %s/%s"):format(dir, name))
    end
    local script = helper.read ".ci/packages"
    local count
    script, count = script:gsub("/run/podero%-packages%.lock", dir .. "/lock")
    assert.equal(1, count)
    script, count = script:gsub("/usr/sbin/policy%-rc%.d", dir .. "/policy-rc.d")
    assert.equal(1, count)
    write("packages", script)
    helper.shell(("chmod 755 %s/packages"):format(dir))
    write("installed", "")
    write("clang-depends", "libc6 (>= 2.15), clang-19 (>= 19~)\n")
    write("not-offered", "luajit2\nlibluajit2-5.1-dev\n")
  end)

  after_each(function() helper.shell("rm -rf " .. dir) end)

  --- The shell command that runs it for a target.
  local function command(target, environment)
    local variables = ""
    for name, value in pairs(environment or {}) do
      variables = variables .. name .. "=" .. helper.quoted(value) .. " "
    end
    return ("env -u INSTALL_PACKAGES DIR=%s PATH=%s:$PATH %s %s/packages %s"):format(dir, dir, variables, dir, target)
  end

  local function run(target, environment) return helper.shell(command(target, environment)) end

  local function log() return exists "log" and helper.read(dir .. "/log") or "" end

  --- The packages of the n-th installation.
  local function installed(n)
    local index = 0
    for line in log():gmatch "install ([^\n]*)" do
      index = index + 1
      if index == (n or 1) then return " " .. line .. " " end
    end
    return ""
  end

  describe("chooses what apt offers:", function()
    it("luajit, if there is no luajit2", function()
      assert.equal(0, select(2, run "demo-nginx"))
      assert.truthy(installed():find(" luajit libluajit-5.1-dev ", 1, true), installed())
    end)

    it("luajit2, if there is one", function()
      write("not-offered", "luajit\nlibluajit-5.1-dev\n")
      assert.equal(0, select(2, run "demo-nginx"))
      assert.truthy(installed():find(" luajit2 libluajit2-5.1-dev ", 1, true), installed())
    end)

    it("neither, if one is installed", function()
      write("installed", "luajit\nlibluajit-5.1-dev\n")
      write("not-offered", "")
      assert.equal(0, select(2, run "demo-nginx"))
      assert.is_nil(installed():find("luajit", 1, true), installed())
    end)

    it("clang's runtime by clang's version", function()
      assert.equal(0, select(2, run "fuzz"))
      assert.truthy(installed():find(" clang libclang-rt-19-dev ", 1, true), installed())
    end)

    it("no packages that are optional and not offered", function()
      write("not-offered", "lua-binaryheap\nlua-coxpcall\n")
      assert.equal(0, select(2, run "test"))
      assert.truthy(installed():find(" lua-copas pandoc mandoc ", 1, true), installed())
    end)
  end)

  it("names a package that is not offered, and installs nothing", function()
    write("not-offered", "make\n")
    local output, code = run "build"
    assert.equal(1, code)
    assert.truthy(output:find("apt does not offer make", 1, true), output)
    assert.equal("", log())
  end)

  it("continues if a repository cannot be reached", function()
    local output, code = run("build", { UPDATE = "100" })
    assert.equal(0, code, output)
    assert.truthy(installed():find(" gcc ", 1, true))
  end)

  it("prints apt's output if apt fails, and removes its policy", function()
    local output, code = run("build", { INSTALL = "100" })
    assert.equal(1, code)
    assert.truthy(output:find("a repository cannot be reached", 1, true), output)
    assert.is_false(exists "policy-rc.d")
  end)

  it("installs as root with sudo", function()
    assert.equal(0, select(2, run("build", { USER_ID = "1000" })))
    assert.truthy(log():find("^sudo\ninstall "), log())
  end)

  it("only names missing packages if INSTALL_PACKAGES is no", function()
    write("installed", "gcc\n")
    local output, code = run("build", { INSTALL_PACKAGES = "no" })
    assert.equal(0, code)
    assert.equal("missing Debian packages: libc6-dev make pkg-config liblua5.4-dev libcurl4-openssl-dev\n", output)
    assert.equal("", log())
  end)

  --- Runs it as on a system without apt.
  local function run_without_apt(target)
    helper.shell(("cd %s; rm -f apt-get; for name in sh env cat tr; do ln -sf $(command -v $name); done"):format(dir))
    return helper.shell(("env DIR=%s PATH=%s %s/packages %s"):format(dir, dir, dir, target))
  end

  it("only names the needed packages if there is no apt", function()
    local output, code = run_without_apt "build"
    assert.equal(0, code)
    assert.equal("not a Debian system; these packages are needed (Debian's names): "
      .. "gcc libc6-dev make pkg-config liblua5.4-dev libcurl4-openssl-dev\n", output)
  end)

  it("prints and installs nothing if nothing is missing", function()
    assert.equal(0, select(2, run "build"))
    os.remove(dir .. "/log")
    local output, code = run "build"
    assert.equal("", output)
    assert.equal(0, code)
    assert.equal("", log())
  end)

  describe("keeps servers from being started", function()
    local HELD = "policy nginx 101\npolicy redis-server 101\npolicy ssh 0\nend\n"

    it("during the installation only", function()
      assert.equal(0, select(2, run "build"))
      assert.truthy(log():find(HELD, 1, true), log())
      assert.is_false(exists "policy-rc.d")
    end)

    it("and keeps an existing policy", function()
      local policy = "#!/bin/sh\nexit 104\n"
      write("policy-rc.d", policy)
      helper.shell(("chmod 755 %s/policy-rc.d"):format(dir))
      assert.equal(0, select(2, run "build"))
      assert.truthy(log():find("policy nginx 104", 1, true), log())
      assert.equal(policy, helper.read(dir .. "/policy-rc.d"))
    end)

    --- Shell functions: `started N` waits until the N-th installation has begun.
    local SHELL = [[
      started() {
        for _ in $(seq 500); do
          [ "$(grep -cs '^install' "$DIR/log")" = "$1" ] && return
          sleep 0.02
        done
        echo "installation $1 has not begun"
      }
    ]]

    local function shell(text) return helper.shell(("export DIR=%s\n%s\n%s"):format(dir, SHELL, text)) end

    for name, number in pairs { HUP = 1, INT = 2, QUIT = 3, PIPE = 13, TERM = 15 } do
      it("until it ends by SIG" .. name, function()
        local output = shell(([[
          env --default-signal=HUP,INT,QUIT,PIPE %s >/dev/null 2>&1 &
          started 1
          kill -%s $!
          touch $DIR/go
          wait $!
          echo $?
        ]]):format(command("build", { WAIT = "yes" }), name))
        assert.equal(128 + number .. "\n", output)
        assert.is_false(exists "policy-rc.d")
        assert.is_false(exists "policy-rc.d.new")
      end)
    end

    it("until apt ends if it is killed, and the next run removes its policy", function()
      shell(([[
        %s >/dev/null 2>&1 &
        started 1
        kill -KILL $!
        wait $!
        touch $DIR/go
        until flock -n $DIR/lock true; do sleep 0.02; done
      ]]):format(command("build", { WAIT = "yes" })))
      assert.truthy(log():find(HELD, 1, true), log())
      assert.is_true(exists "policy-rc.d")
      assert.equal(0, select(2, helper.shell(dir .. "/policy-rc.d nginx start")))
      assert.equal(0, select(2, run "demo"))
      assert.is_false(exists "policy-rc.d")
    end)

    it("for two runs at once, which install one after the other and nothing twice", function()
      local output = shell(([[
        %s >/dev/null 2>&1 &
        first=$!
        started 1
        %s >/dev/null 2>&1 &
        second=$!
        touch $DIR/go
        wait $first && wait $second
        echo $?
      ]]):format(command("build", { WAIT = "yes" }), command "demo"))
      assert.equal("0\n", output)
      assert.equal(("install\n" .. HELD):rep(2), (log():gsub("install [^\n]*", "install")))
      assert.is_nil(installed(2):find(" gcc ", 1, true), installed(2))
      assert.truthy(installed(2):find(" nginx ", 1, true), installed(2))
      assert.is_false(exists "policy-rc.d")
    end)
  end)

  it("has a list of packages for each target of the Makefile that needs one", function()
    for target in helper.read("Makefile"):gmatch ": packages%-([%w-]+)" do
      local output, code = run_without_apt(target)
      assert.equal(0, code, target .. ": " .. output)
    end
    assert.equal(2, select(2, run_without_apt "no-such-target"))
  end)
end)
