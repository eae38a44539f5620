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
    { "For another program", "curl -H \"Authorization: Bearer $(podero token --show)\" ..." },
  },
}

--- Returns the token, when it expires, its scope, and whether it is the user's own, which has neither.
local function get(given)
  local api = client.new(given)
  local _, is_own = credentials.describe(given)
  local value, expires_at, scope = api:token()
  local ok, err = value, expires_at
  if ok and is_own then ok, err = client.try_token(api, given) end
  api:close()
  if not ok then error(err, 0) end
  return value, expires_at, scope, is_own
end

function token.run(given)
  local value, expires_at, scope, is_own = get(given)
  if given.show then return output.print(value, "\n") end
  local unknown = is_own and "unknown, but the API accepts it\n" or "unknown\n"
  output.print("expires  ", expires_at and expiry(expires_at) .. "\n" or unknown, "scope    ",
    text.printable(scope or "unknown"), "\n")
end

return token
