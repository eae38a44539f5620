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

--- As it came; for people, with a line for each value.
local function print_body(given, body)
  local sink = output.open(given.output)
  local ok, raised = pcall(function()
    json_text.copy(terminal.escaped(sink), body)
    sink:finish()
  end)
  if ok then return end
  sink:discard()
  error(raised, 0)
end

--- `opts`: those of client:request.
function response.print(given, method, opts)
  local api = client.new(given)
  local target, query = path.split(given.path, given.query)
  opts.raw, opts.query = true, query
  local body, answer = client.call(given, api.request, api, method, target, opts)
  api:close()
  if body == nil then error(answer, 0) end -- it is the error then
  if body ~= "" then print_body(given, body) end
end

return response
