local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local option = require "podero.command.option"
local response = require "podero.command.response"

local OPTIONS = {
  option("--data FILE", "The body is in this file; - is standard input."),
  option("--content-type TYPE", "Of the body (application/json)."),
}
for _, one in ipairs(response.OPTIONS) do OPTIONS[#OPTIONS + 1] = one end

local request = {
  summary = "Send any request of the Partner API; print the JSON of its response.",
  arguments = {
    { name = "METHOD", key = "method", help = "GET, HEAD, POST, PUT, PATCH or DELETE.", convert = convert.method },
    response.PATH,
  },
  options = { { "Options", OPTIONS } },
  asks = true,
  examples = {
    { "A body from another program", "jq -n '{name: \"x\"}' | podero request POST /api/partners/v2.0/... --data -" },
  },
}

function request.check(given)
  if given.content_type and not given.data then
    failure.usage("--content-type is given without --data: there is no body", given.label)
  end
end

--- Reads the body from a file, or from standard input.
local function read_body(name)
  local file, message = io.stdin, nil
  if name ~= "-" then file, message = io.open(name, "rb") end
  local body
  if file then body, message = file:read("*a") end
  if not body then failure.setup("cannot read the body: " .. (message or name)) end
  if name ~= "-" then file:close() end
  return body
end

function request.run(given)
  local opts = {}
  if given.data then opts.body, opts.content_type = read_body(given.data), given.content_type or "application/json" end
  response.print(given, given.method, opts)
end

return request
