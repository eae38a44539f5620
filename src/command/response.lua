--- Sends a request of the Partner API, and prints the JSON of its response: what `get` and `request` have in common.

local client = require "podero.command.client"
local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local json_text = require "podero.command.json_text"
local option = require "podero.command.option"
local options = require "podero.command.options"
local output = require "podero.command.output"
local path = require "podero.command.path"
local terminal = require "podero.command.terminal"
local user_output = require "podero.command.user_output"

local response = {}

response.PATH = { name = "PATH", key = "path", convert = convert.path,
  help = "For example /api/partners/v2.0/org/ORG_ID/users; a query may follow." }

response.OPTIONS = {
  option("--query NAME=VALUE", "A parameter; may be repeated.", { convert = convert.pair, many = true }),
  user_output.FILE,
}

--- Refuses a page of a web site: the API does not send any.
local function check_type(given, answer)
  if not (answer.headers["content-type"] or ""):find("^text/html") then return end
  local _, source = options.base_url(given)
  failure.error(("decode: the response is an HTML page: check the base URL (%s) and the path"):format(source), "decode")
end

--- Sends a request and prints the body of the response: as it came; on a terminal, with a line for each value. `opts`:
-- those of client:request.
function response.print(given, method, opts)
  local target, query = path.split(given.path, given.query)
  opts.raw, opts.query = true, query
  client.use(given, given.output ~= nil, function(api, shown)
    output.use(given.output, function() shown:stop() end, function(sink)
      local body, answer = client.call(given, api.request, api, method, target, opts)
      if body == nil then error(answer, 0) end -- it is the error then
      if body == "" then return end
      check_type(given, answer)
      json_text.copy(terminal.escaped(sink), body)
    end)
  end)
end

return response
