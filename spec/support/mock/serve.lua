--- Runs a mock server to try things by hand: lua spec/support/mock/serve.lua [--tls]
-- Prints the settings for a client as shell variables, and ends at the end of standard input. If it is interrupted or
-- killed, the server ends a moment later.

local root = (arg[0]:match("^(.*)/[^/]*$") or ".") .. "/../../.."
package.path = root .. "/?.lua;" .. package.path

local mock = require "spec.support.mock"

local tls = arg[1] == "--tls"
local server = mock.start { tls = tls }

local function show(name, value)
  print(("%s='%s'"):format(name, value))
end

show("PODERO_BASE_URL", tls and server.tls_url or server.url)
show("PODERO_CLIENT_ID", mock.credentials.client_id)
show("PODERO_CLIENT_SECRET", mock.credentials.client_secret)
show("ORG", mock.ORG)
if tls then show("CA_FILE", server.ca_file) end
print("# control: http://127.0.0.1:" .. server.control_port .. "/{reset,configure,patch,revoke,received}")
io.stdout:flush()

repeat until not io.read()
server:stop()
