-- Files that the command writes: real files, processes and signals.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local OTHER = helper.OTHER_ORG

describe("a file that the command writes", function()
  local folder, server, dir

  command.set_up({ tls = false }, function(...)
    folder, server = ...
    dir = folder .. "/files"
  end)
  before_each(function()
    helper.shell(("chmod -f 700 %s; rm -rf %s; mkdir %s"):format(dir, dir, dir))
  end)

  local function line(arguments)
    return command.line(arguments, command.environment(server))
  end

  local function users(target, more)
    return ("users %s --format csv --output %s %s"):format(mock.ORG, target, more or "")
  end

  local function shell(text)
    local output, code = helper.shell(text)
    assert.equal(0, code, output)
    return (output:gsub("%s+$", ""))
  end

  local function succeeds(arguments)
    local code, output, errors = command.shell(line(arguments))
    assert.same({ 0, "", "" }, { code, output, errors })
  end

  local function fails(expected, text, arguments)
    local code, _, errors = command.shell(line(arguments))
    assert.equal(expected, code, errors)
    assert.truthy(errors:find("^podero: [^\n]+\n$"), errors)
    assert.truthy(errors:find(text, 1, true), errors)
  end

  local function write(name, text, mode)
    local path = command.write("files/" .. name, text)
    if mode then shell(("chmod %s %s"):format(mode, path)) end
    return path
  end

  local function is_list(name)
    local text = helper.read(name)
    assert.truthy(text:find("^id,organization_id"), text:sub(1, 50))
    assert.equal(26, select(2, text:gsub("\r\n", "")))
  end

  --- The names in the folder, hidden ones too.
  local function names()
    return shell("ls -A " .. dir)
  end

  it("is readable only by its owner if it is new", function()
    succeeds(users(dir .. "/new.csv"))
    is_list(dir .. "/new.csv")
    assert.equal("600", shell("stat -c %a " .. dir .. "/new.csv"))
    assert.equal("new.csv", names())
  end)

  it("is replaced with its mode and owner", function()
    local name = write("old.csv", "old", "644")
    local inode = shell("stat -c %i " .. name)
    local owner = shell("id -u") == "0" and "65534:65534" or shell("echo $(id -u):$(id -g)")
    shell(("chown %s %s"):format(owner, name))
    succeeds(users(name))
    is_list(name)
    assert.equal("644 " .. owner, shell("stat -c '%a %u:%g' " .. name))
    assert.is_true(inode ~= shell("stat -c %i " .. name))
    assert.equal("old.csv", names())
  end)

  it("stays unchanged if a list fails, and no temporary file is left", function()
    local name = write("kept.csv", "yesterday's")
    server:configure { organizations = { [OTHER] = { status = 403 } } }
    fails(3, "403", ("users %s %s --format csv --output %s"):format(mock.ORG, OTHER, name))
    assert.equal("yesterday's", helper.read(name))
    assert.equal("kept.csv", names())
  end)

  it("is written through symbolic links, which are kept", function()
    write("real.csv", "old", "640")
    shell(("cd %s && ln -s real.csv one && ln -s %s/one two && ln -s fresh.csv dangling"):format(dir, dir))
    succeeds(users(dir .. "/two"))
    is_list(dir .. "/real.csv")
    succeeds(users(dir .. "/dangling"))
    is_list(dir .. "/fresh.csv")
    assert.equal("dangling\nfresh.csv\none\nreal.csv\ntwo", names())
    assert.equal("real.csv", shell("readlink " .. dir .. "/one"))
    shell(("ln -s loop %s/loop"):format(dir))
    fails(1, "too many symbolic links", users(dir .. "/loop"))
  end)

  it("may be a pipe, a device, a socket, or a descriptor of the shell", function()
    shell("mkfifo " .. dir .. "/pipe")
    assert.equal("27", shell(("cat %s/pipe | wc -l & %s; wait"):format(dir, line(users(dir .. "/pipe")))))
    succeeds(users("/dev/null"))
    assert.equal("27", shell(line(users("/dev/stdout")) .. " | wc -l"))
    assert.equal("27", shell(line(users("-")) .. " | wc -l"))
    assert.equal("27", shell(line(users("/dev/fd/3")) .. " 3>&1 | wc -l"))
    shell(("echo first >%s/log; %s >>%s/log"):format(dir, line(users("/dev/stdout")), dir))
    assert.truthy(helper.read(dir .. "/log"):find("^first\nid,"))
    local listen = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); "
      .. "open(sys.argv[1] + '.ready', 'w'); c = s.accept()[0]; print(c.makefile().read().count('\\n'))"
    assert.equal("27", shell(("python3 -c %s %s/socket & while [ ! -e %s/socket.ready ]; do sleep 0.02; done; %s; wait")
      :format(helper.quoted(listen), dir, dir, line(users(dir .. "/socket")))))
  end)

  it("fails before any request if it cannot be written", function()
    fails(1, "/nowhere/", users("/nowhere/users.csv"))
    fails(1, "it is a directory", users(dir))
    fails(1, "cannot write", users(dir .. "/users.csv/"))
    fails(1, "cannot write", users("/proc/users.csv"))
    for _, arguments in ipairs { "find role=user " .. mock.ORG, "get /x", "request POST /x" } do
      fails(1, "it is a directory", arguments .. " -o " .. dir)
    end
    assert.equal(0, #server:requests())
    fails(1, "/dev/full", users("/dev/full"))
  end)

  it("is written in place if its folder is mounted over it", function()
    local _, can = helper.shell("unshare -m true")
    if can ~= 0 then return pending("no rights for mounts here") end
    local name, source = write("target", "old, and longer than nothing", "640"), write("source", "old content", "640")
    local inode = shell("stat -c %i " .. source)
    shell(("unshare -m sh -c %s"):format(helper.quoted(
      ("mount --bind %s %s && %s"):format(source, name, line(users(name))))))
    is_list(source)
    assert.equal(inode .. " 640", shell("stat -c '%i %a' " .. source))
    assert.equal("source\ntarget", names())
  end)

  it("is written in place if its folder cannot be written to", function()
    if shell("id -u") ~= "0" then return pending("needs another user") end
    local name = write("target", ("old\n"):rep(1e5), "666")
    shell(("chmod 755 %s %s"):format(folder, dir))
    -- As another user, who cannot write to the folder.
    local program = line(users(name)):gsub("^env", "setpriv --reuid 65534 --regid 65534 --clear-groups env", 1)
    local code, _, errors = command.shell(program)
    errors = errors:gsub("profiling:[^\n]*\n", "") -- a coverage build cannot count as this user
    assert.same({ 0, "" }, { code, errors })
    is_list(name)
    assert.equal("target", names())
    -- A file that this user cannot write:
    local kept = write("kept", "kept", "644")
    program = line(users(kept)):gsub("^env", "setpriv --reuid 65534 --regid 65534 --clear-groups env", 1)
    server:reset()
    code, _, errors = command.shell(program)
    assert.equal(1, code)
    assert.truthy(errors:find("cannot write to " .. kept .. ": Permission denied", 1, true), errors)
    assert.equal(0, #server:requests())
    assert.equal("kept", helper.read(kept))
  end)

  it("stays unchanged if the disk is full", function()
    local _, can = helper.shell("unshare -m true")
    if can ~= 0 then return pending("no rights for mounts here") end
    server:configure { default_users = 3000 }
    local inner = "mount -t tmpfs -o size=64k none %s && echo old >%s/a && { %s; echo $?; cat %s/a; ls -A %s; }"
    inner = inner:format(dir, dir, line(users(dir .. "/a")), dir, dir)
    local output = shell("unshare -m sh -c " .. helper.quoted(inner))
    assert.truthy(output:find("cannot write to [^\n]*: No space left on device\n1\nold\na$"), output)
  end)

  it("has the content of one run if two runs write it at the same time", function()
    server:configure { organizations = { [mock.ORG] = { users = 3000 }, [OTHER] = { users = 3000, seed = 9 } } }
    local name = dir .. "/both.csv"
    local one, other = dir .. "/one.csv", dir .. "/other.csv"
    local both = "users %s --format csv --output %s"
    succeeds(both:format(mock.ORG, one))
    succeeds(both:format(OTHER, other))
    for _ = 1, 3 do
      shell(("%s & %s & wait"):format(line(both:format(mock.ORG, name)), line(both:format(OTHER, name))))
      local text = helper.read(name)
      assert.is_true(text == helper.read(one) or text == helper.read(other))
    end
    assert.equal("both.csv\none.csv\nother.csv", names())
  end)

  for name, number in pairs { INT = 2, TERM = 15, HUP = 1 } do
    it("stays unchanged, and no temporary file is left, if the command is ended by SIG" .. name, function()
      server:configure { always_api = { delay = 20 } }
      local target = write("target", "old")
      -- Python tells which signal ended a process. It waits until the temporary file exists.
      local program = [=[
import os, signal, subprocess, sys, time
folder, number = sys.argv[1], int(sys.argv[2])
signal.signal(number, signal.SIG_DFL) # nohup, for example, lets programs ignore SIGHUP
child = subprocess.Popen(["sh", "-c", "exec " + sys.argv[3]])
deadline = time.time() + 20
while not any(n.startswith(".podero-") for n in os.listdir(folder)) and time.time() < deadline: time.sleep(0.02)
seen = os.listdir(folder)
child.send_signal(number)
print(child.wait(), len(seen))]=]
      local output = shell(("python3 -c %s %s %d %s"):format(helper.quoted(program), dir, number,
        helper.quoted(line(users(target)))))
      assert.equal(("-%d 2"):format(number), output)
      assert.equal("target", names())
      assert.equal("old", helper.read(target))
    end)
  end

  it("determines the format by its name", function()
    for ending, start in pairs { csv = "id,organization_id", CSV = "id,", json = "[\n{", ndjson = '{"id"',
      jsonl = '{"id"', tsv = "id\torganization_id", txt = "ROLE", gzip = "ROLE" } do
      local name = dir .. "/users." .. ending
      succeeds(("users %s -o %s"):format(mock.ORG, name))
      assert.equal(start, helper.read(name):sub(1, #start), ending)
    end
    succeeds(("users %s -o %s/x.csv -f ndjson"):format(mock.ORG, dir))
    assert.equal('{"id"', helper.read(dir .. "/x.csv"):sub(1, 5))
  end)
end)
