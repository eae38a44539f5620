local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local option = require "podero.command.option"
local output = require "podero.command.output"
local text = require "podero.command.text"

local mock = {
  summary = "Serve made-up users on this machine, to try things out.",
  arguments = {},
  options = { { "Options", {
    option("--port N", "Default: a free one.", { convert = convert.port }),
    option("--count N", "How many users (25).", { convert = convert.count }),
    option("--users FILE", "The users are in this file: a JSON array."),
    option("-q --quiet", "Print no line for each request."),
  } } },
  examples = {
    { "In one terminal", "podero mock --port 8080" },
    { "In another one, after the lines that it has printed", "podero users $ORG" },
  },
  notes = "Only this machine can connect to it. Ctrl-C ends it.",
}

function mock.check(given)
  if given.count and given.users then failure.usage("--count and --users are two lists of users", given.label) end
end

--- Returns the JSON in a file. The users have to be what the API's schema says.
local function read_users(name, org_id)
  local file, problem = io.open(name, "rb")
  local json = file and file:read("*a")
  if file then file:close() end
  if not json then failure.setup(("--users %s: %s"):format(name, problem or "it cannot be read")) end
  local ok, list = pcall(require("cjson").decode, json)
  if not ok or type(list) ~= "table" then failure.setup(("--users %s: not a JSON array"):format(name)) end
  local fits, fault = pcall(require("podero.mock").new, { organizations = { [org_id] = list } })
  if not fits then failure.setup(("--users %s: %s"):format(name, fault)) end
  return json
end

local BEGINNING = [[
export PODERO_BASE_URL=http://127.0.0.1:%d
export PODERO_CLIENT_ID=%s PODERO_CLIENT_SECRET=%s
export ORG=%s
]]

function mock.run(given)
  local ok, api = pcall(require, "podero.command.mock_api")
  local is_there, server = pcall(require, "podero.command.http_server")
  if not ok or not is_there then
    failure.setup("podero mock needs LuaSocket: apt-get install lua-socket, or luarocks install luasocket")
  end
  local users = given.users and read_users(given.users, api.ORG_ID) or api.make_users(given.count or 25)
  local listener, port = server.listen(given.port or 0)
  if not listener then failure.error(("cannot listen on port %d: %s"):format(given.port or 0, port)) end
  local sink = output.open()
  sink:write(BEGINNING:format(port, api.CLIENT_ID, api.CLIENT_SECRET, api.ORG_ID))
  sink:flush()
  server.serve(listener, function(request) return api.answer(request, users) end, function(request, status)
    if given.quiet then return end
    sink:write(text.printable(("# %s %s: %d"):format(request.method, request.path, status)), "\n")
    sink:flush()
  end)
end

return mock
