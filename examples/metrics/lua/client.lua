--- The client, whose events become metrics. Credentials come from the environment, see nginx.conf.

local metrics = require "metrics"
local podero = require "podero"

return assert(podero.new {
  timeout = 20,
  token_store = ngx.shared.podero,
  on_event = metrics.on_event,
})
