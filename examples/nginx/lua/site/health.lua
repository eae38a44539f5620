--- GET /health: 200 if the site has a token from Podero, 503 if not. A token is kept for hours: most requests of
-- /health send none to Podero.

local cjson = require "cjson"
local client = require "site.client"

return function()
  local token, expires_at = client:token()
  ngx.header["Content-Type"] = "application/json"
  if not token then
    local err = expires_at --[[@as podero.Error]]
    ngx.log(ngx.ERR, tostring(err))
    ngx.status = 503
    return ngx.say(cjson.encode { status = "unavailable", reason = err.kind })
  end
  local seconds = expires_at and math.max(0, math.floor(expires_at - ngx.time()))
  ngx.say(cjson.encode { status = "ok", token_seconds = seconds })
end
