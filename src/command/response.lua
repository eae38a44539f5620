--- Sends a request of the Partner API, and prints the JSON of its response: what `get` and `request` have in common.

local client = require "podero.command.client"
local convert = require "podero.command.convert"
local json_text = require "podero.command.json_text"
local option = require "podero.command.option"
local output = require "podero.command.output"
local path = require "podero.command.path"
local terminal = require "podero.command.terminal"
local user_output = require "podero.command.user_output"

local response = {}

response.PATH = { name = "PATH", key = "path", convert = convert.path,
  help = "For example /api/partners/v2.0/org/ORG_ID/users; may have a query behind it." }

response.OPTIONS = {
  option("--query NAME=VALUE", "A parameter; may be repeated.", { convert = convert.pair, many = true }),
  user_output.FILE,
}

--- Prints what the API answers: as it came; for people, with a line for each value. `opts`: those of client:request.
function response.print(given, method, opts)
  local target, query = path.split(given.path, given.query)
  opts.raw, opts.query = true, query
  client.use(given, given.output ~= nil, function(api, shown)
    output.use(given.output, function() shown:stop() end, function(sink)
      local body, err = client.call(given, api.request, api, method, target, opts)
      if body == nil then error(err, 0) end
      if body ~= "" then json_text.copy(terminal.escaped(sink), body) end
    end)
  end)
end

return response
