--- Runs the command `podero` from the sources, on the Lua that runs the specs.

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local command = {}

local folder

--- Makes and returns a temporary folder in which Lua finds the command's modules.
function command.open()
  folder = helper.shell("mktemp -d \"${TMPDIR:-/tmp}/podero-command.XXXXXX\""):gsub("%s+$", "")
  helper.shell(("mkdir %s/podero && ln -s \"$PWD/src/command\" %s/podero/command"):format(folder, folder))
  return folder
end

function command.close()
  helper.shell("rm -rf " .. folder)
end

--- Returns environment variables for the server and its client credentials. `more` adds or replaces some; false removes
-- one.
function command.environment(server, more)
  local environment = {
    PODERO_BASE_URL = server.url,
    PODERO_CLIENT_ID = mock.credentials.client_id,
    PODERO_CLIENT_SECRET = mock.credentials.client_secret,
  }
  for name, value in pairs(more or {}) do environment[name] = value or nil end
  return environment
end

--- Returns the shell command that runs the command. `arguments` is inserted into it as it is.
function command.line(arguments, environment)
  local paths = ("package.path, package.cpath = %q, %q"):format(folder .. "/?.lua;" .. package.path, package.cpath)
  return ("%s %s -e %s src/command/podero %s"):format(helper.environment(environment),
    helper.quoted(helper.interpreter()), helper.quoted(paths), arguments)
end

--- Runs a shell command without a terminal. Returns its exit code, standard output and standard error.
function command.shell(line)
  local _, code = helper.shell(("{ %s\n} >%s/out 2>%s/err </dev/null"):format(line, folder, folder))
  return code, helper.read(folder .. "/out"), helper.read(folder .. "/err")
end

function command.run(arguments, environment)
  return command.shell(command.line(arguments, environment))
end

--- Runs a shell command on a new terminal, and types `input` when `prompt` is shown. Returns what the terminal showed,
-- with lines that end in CR LF, and the exit code.
function command.on_terminal(line, prompt, input)
  local screen = folder .. "/screen"
  local run = ("TERM=xterm script -qefc %s /dev/null >%s"):format(helper.quoted(line), screen)
  if prompt then
    -- Waits ten seconds at most, since no terminal may be available.
    local await = ("for i in $(seq 500); do grep -qF %s %s 2>/dev/null && break; sleep 0.02; done"):format(
      helper.quoted(prompt), screen)
    run = ("{ %s; printf '%%s\\n' %s; sleep 0.2; } | %s"):format(await, helper.quoted(input), run)
  else
    run = run .. " </dev/null"
  end
  local _, code = helper.shell("rm -f " .. screen .. "\n" .. run)
  return helper.read(screen), code
end

return command
