local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local input = require "podero.command.input"
local option = require "podero.command.option"
local response = require "podero.command.response"
local words = require "podero.command.words"

local OPTIONS = {
  option("--data FILE", "The body is in this file; - is standard input."),
  option("--content-type TYPE", "The type of the body (application/json)."),
}
for _, one in ipairs(response.OPTIONS) do OPTIONS[#OPTIONS + 1] = one end

local request = {
  summary = "Send any request of the Partner API; print the JSON of its response.",
  arguments = {
    { name = "METHOD", key = "method", help = words.any(convert.METHODS) .. ".", convert = convert.method,
      words = convert.METHODS },
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
  if given.data and (given.method == "GET" or given.method == "HEAD") then
    failure.usage(("--data is given, but %s has no body"):format(given.method), given.label)
  end
  if given.data and given.data:find("^%s*[{[]") then
    failure.usage("--data is the name of a file: to send a text, pipe it into --data -", given.label)
  end
end

function request.run(given)
  local opts = {}
  if given.data then
    opts.body = input.read("--data", given.data)
    opts.content_type = given.content_type or "application/json"
  end
  response.print(given, given.method, opts)
end

return request
