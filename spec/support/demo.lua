-- Starts a mock Partner API and runs `podero users` with it and with the given arguments.
--   lua5.4 spec/support/demo.lua ORGANIZATION_ID [...]
local mock = require "spec.support.mock"

local server = mock.start { tls = false }
local environment = ("PODERO_BASE_URL=%s PODERO_CLIENT_ID=%s PODERO_CLIENT_SECRET=%s"):format(
  server.url, mock.credentials.client_id, mock.credentials.client_secret)
local arguments = #arg > 0 and table.concat(arg, " ") or mock.ORG
local ok = os.execute(("env %s podero users %s"):format(environment, arguments))
server:stop()
os.exit((ok == true or ok == 0) and 0 or 1)
