local client = require "podero.command.client"
local credentials = require "podero.command.credentials"
local expiry = require "podero.command.expiry"
local option = require "podero.command.option"
local output = require "podero.command.output"
local text = require "podero.command.text"

local token = {
  summary = "Ask for a token; print its expiry and scope.",
  options = { { "Options", { option("--show", "Print the token itself, and nothing else.") } } },
  asks = true,
  examples = {
    { "For another program", "ACCESS_TOKEN=$(podero token --show) ./program" },
  },
}

--- Returns what is to be printed.
local function describe(value, expires_at, scope, is_own)
  local expires = expires_at and expiry(expires_at) or is_own and "unknown, but the API accepts it" or "unknown"
  return ("expires  %s\nscope    %s\n"):format(expires, text.printable(scope or "unknown")), value .. "\n"
end

function token.run(given)
  local description, value
  client.use(given, false, function(api)
    local _, is_own = credentials.describe(given)
    local result, expires_at, scope = api:token()
    if not result then error(expires_at, 0) end
    if is_own then client.try_token(api, given) end
    description, value = describe(result, expires_at, scope, is_own)
  end)
  output.print(given.show and value or description)
end

return token
