--- The client. nginx loads this file before it starts its workers: each worker has a copy of the client. Credentials
-- come from the environment, see nginx.conf.

local podero = require "podero"

--- Writes a line to the error log for each request to Podero. Events hold no secrets. The level is "notice", because at
-- "info" nginx itself logs the URLs of requests that it cannot read.
local function log(event)
  if event.type ~= "exchange" then return end
  local failed = event.error_kind or event.status and event.status >= 400
  ngx.log(failed and ngx.WARN or ngx.NOTICE, ("podero: %s %s: %s, attempt %d, %.3f s, %d bytes"):format(event.method,
    event.url, event.error_kind or event.status, event.attempt, event.seconds, event.bytes))
end

return assert(podero.new {
  timeout = 20,
  -- On several machines: token_store = require("site.redis_store").new { host = "…", password = os.getenv "…" }
  token_store = ngx.shared.podero,
  on_event = log,
  user_agent = "back-office/1.0",
})
