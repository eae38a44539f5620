local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local option = require "podero.command.option"
local response = require "podero.command.response"
local words = require "podero.command.words"

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
  if given.data and (given.method == "GET" or given.method == "HEAD") then
    failure.usage(("--data is given, but %s has no body"):format(given.method), given.label)
  end
  if given.data and given.data:find("^%s*[{[]") then
    failure.usage("--data is the name of a file: to send a text, pipe it into --data -", given.label)
  end
end

--- Reads the body from a file, or from standard input.
local function read_body(name)
  local file, message = io.stdin, nil
  if name ~= "-" then file, message = io.open(name, "rb") end
  local body
  if file then body, message = file:read("*a") end
  if not body then
    local reason = message or "it cannot be read"
    if reason:sub(1, #name + 2) == name .. ": " then reason = reason:sub(#name + 3) end
    failure.setup(("--data %s cannot be read: %s"):format(words.quoted(name), reason))
  end
  if name ~= "-" then file:close() end
  return body
end

function request.run(given)
  local opts = {}
  if given.data then opts.body, opts.content_type = read_body(given.data), given.content_type or "application/json" end
  response.print(given, given.method, opts)
end

return request
