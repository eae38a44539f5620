local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local input = require "podero.command.input"
local option = require "podero.command.option"
local output = require "podero.command.output"
local podero_mock = require "podero.mock"
local system = require "podero.command.system"
local text = require "podero.command.text"

local mock = {
  summary = "Serve made-up users on this machine, to try things out.",
  arguments = {},
  options = { { "Options", {
    option("--port N", "Default: a free one.", { convert = convert.port }),
    option("--count N", "How many users (25).", { convert = convert.count }),
    option("--users FILE", "The users are in this file: a JSON array."),
    option("--deleted FILE", "The deleted users are in this file, likewise."),
    option("-q --quiet", "Print no line for each request."),
  } } },
  examples = {
    { "In one terminal", "podero mock --port 8181" },
    { "In another terminal, after running the lines that it printed", "podero users $ORG" },
  },
  notes = "For every ten made-up users there is one deleted user, listed only with include_deleted. Only this machine "
    .. "can connect. Ctrl-C ends it.",
}

function mock.check(given)
  if given.count and given.users then failure.usage("--count and --users are two lists of users", given.label) end
end

--- Returns the JSON in the file of an option. It has to be an array of users as the API's schema describes them.
local function read_users(label, name, org_id)
  local function fail(problem) failure.setup(("%s %s: %s"):format(label, name, problem)) end
  local json = input.read(label, name)
  local is_valid, fault = pcall(podero_mock.new, { organizations = { [org_id] = json } })
  if not is_valid then fail((fault:gsub("^.-users of [%x-]+: ", ""):gsub("^the response is ", ""))) end
  return json
end

--- Returns the users to serve, see mock_api.answer.
local function make_lists(given, api)
  local count = given.users and 0 or given.count or 25
  local users, deleted = api.make_users(1, count), api.make_users(count + 1, count + math.ceil(count / 10))
  if given.users then users = read_users("--users", given.users, api.ORG_ID) end
  if given.deleted then deleted = read_users("--deleted", given.deleted, api.ORG_ID) end
  return { users = users, all = podero_mock._join(users, deleted) }
end

local BEGINNING = [[
export PODERO_BASE_URL=http://127.0.0.1:%d
export PODERO_CLIENT_ID=%s PODERO_CLIENT_SECRET=%s
export ORG=%s
]]

function mock.run(given)
  if not (pcall(require, "socket") and pcall(require, "mime")) then
    failure.setup("podero mock needs LuaSocket: apt-get install lua-socket, or luarocks install luasocket")
  end
  local api, server = require "podero.command.mock_api", require "podero.command.http_server"
  local lists = make_lists(given, api)
  local listener, port = server.listen(given.port or 0)
  if not listener then failure.error(("cannot listen on port %d: %s"):format(given.port or 0, port)) end
  system.catch_signals() -- the interpreter's handler of SIGINT would wait for the next request
  local sink = output.open()
  sink:write(BEGINNING:format(port, api.CLIENT_ID, api.CLIENT_SECRET, api.ORG_ID))
  sink:flush()
  server.serve(listener, function(request) return api.answer(request, lists) end, function(request, status)
    if given.quiet then return end
    sink:write(text.printable(("# %s %s: %d"):format(request.method, request.path, status)), "\n")
    sink:flush()
  end)
end

return mock
