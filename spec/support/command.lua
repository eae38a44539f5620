--- Runs the command `podero` from the sources, on the Lua that runs the specs.

local busted = require "busted"
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

--- Sets up what the specs of a block need: a temporary folder (see command.open), and a server, which is reset before
-- each spec; `options` are those of mock.start, nil for no server. Calls `use(folder, server)` when they exist.
function command.set_up(options, use)
  local server
  busted.setup(function()
    server = options and mock.start(options)
    use(command.open(), server)
  end)
  busted.teardown(function()
    if server then server:stop() end
    command.close()
  end)
  busted.before_each(function()
    if server then server:reset() end
  end)
end

--- Writes a file in the folder, and returns its path.
function command.write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
  return folder .. "/" .. name
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

--- Runs a shell command on a new terminal that is `columns` wide. `steps`: pairs of a text that is waited for and what
-- is typed then ("\\n", "\\x03" and the like for other keys). Returns what the terminal showed, with lines that end in
-- CR LF, the exit code (128 + N after signal N), and whether the terminal echoes what is typed.
function command.on_pty(line, columns, steps)
  local words = { "TERM=xterm python3 spec/support/terminal.py", tostring(columns), helper.quoted(line) }
  for _, step in ipairs(steps or {}) do
    for _, word in ipairs(step) do words[#words + 1] = helper.quoted(word) end
  end
  local text = helper.shell(table.concat(words, " ") .. " >" .. folder .. "/screen </dev/null")
  text = helper.read(folder .. "/screen") .. text
  local screen, code, echo = text:match("^(.*)\nexit (%d+) echo (%l+)\n$")
  assert(screen, text)
  return screen, tonumber(code), echo == "on"
end

--- The same on one that is 100 columns wide, with one line of input for one prompt. Returns what the terminal showed,
-- and the exit code.
function command.on_terminal(line, prompt, input)
  local screen, code = command.on_pty(line, 100, prompt and { { prompt, input .. "\\n" } })
  return screen, code
end

return command
