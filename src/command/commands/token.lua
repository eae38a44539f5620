local client = require "podero.command.client"
local expiry = require "podero.command.expiry"
local option = require "podero.command.option"
local output = require "podero.command.output"
local text = require "podero.command.text"

local token = {
  summary = "Ask for a token; print its expiry and scope.",
  options = { { "Options", { option("--show", "Print the token itself, and nothing else.") } } },
  asks = true,
  examples = {
    { "For another program", "curl -H \"Authorization: Bearer $(podero token --show)\" ..." },
  },
}

function token.run(given)
  local api = client.new(given)
  local value, expires_at, scope = api:token()
  api:close()
  if not value then error(expires_at, 0) end
  if given.show then
    output.print(value, "\n")
  else
    output.print("expires  ", expiry(expires_at), "\nscope    ", text.printable(scope or "unknown"), "\n")
  end
end

return token
