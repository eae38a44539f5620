--- The client. nginx loads this file before it starts its workers, and each of them goes on with a client of its own.
-- Credentials come from the environment, see nginx.conf.

local podero = require "podero"

--- A line in the error log for each request to Podero. No field of an event ever holds a secret.
local function log(event)
  if event.type ~= "exchange" then return end
  local failed = event.error_kind or event.status and event.status >= 400
  ngx.log(failed and ngx.WARN or ngx.INFO, ("podero: %s %s: %s, attempt %d, %.3f s, %d bytes"):format(event.method,
    event.url, event.error_kind or event.status, event.attempt, event.seconds, event.bytes))
end

return assert(podero.new {
  timeout = 20,
  -- On several machines: token_store = require("site.redis_store").new { host = "…" }
  token_store = ngx.shared.podero,
  on_event = log,
  user_agent = "back-office/1.0",
})
