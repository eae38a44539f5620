-- Starts a mock Partner API and runs the site of examples/nginx with it until it is interrupted.
--   lua5.4 spec/support/demo_nginx.lua
local mock = require "spec.support.mock"
local site = require "spec.support.site"

-- A user whose names are an HTML and a spreadsheet injection.
local HOSTILE = [==[[{"id": "00000000-0000-4000-8000-000000000001", "role": "guest", "num_inverters": 0,
  "organization_id": "00000000-0000-4000-8000-000000000bad", "num_heat_pumps": 1, "num_electric_vehicles": 0,
  "num_wallboxes": 0, "email": "mallory@example.com", "first_name": "<script>alert(1)</script>",
  "last_name": "=HYPERLINK(\"https://example.com\")"}]]==]

local api = mock.start { tls = false }
api:configure {
  organizations = {
    ["00000000-0000-4000-8000-000000000bad"] = { raw = HOSTILE },
    ["00000000-0000-4000-8000-000000100000"] = { users = 100000, seed = 7 },
    ["00000000-0000-4000-8000-000000000404"] = { status = 404 },
  },
}
local server = site.start {
  PODERO_BASE_URL = api.url,
  PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
}

local function show(what, path)
  print(("%-24s %s%s"):format(what, server.url, path))
end

local org = "/orgs/" .. mock.ORG
show("roster", org .. "/roster")
show("administrators", org .. "/roster?role=admin")
show("JSON, filtered", org .. "/users -d q=zoë      (for curl)")
show("CSV", org .. "/users.csv")
show("hostile texts", "/orgs/00000000-0000-4000-8000-000000000bad/roster")
show("100,000 users", "/orgs/00000000-0000-4000-8000-000000100000/users.csv")
show("unknown organization", "/orgs/00000000-0000-4000-8000-000000000404/roster")
show("health", "/health")
print(("Log: %s/nginx.log\nPress Ctrl-C to stop."):format(server.dir))
io.stdout:flush()

-- Waits in a child: system(3) ignores the terminal's signals in this process while the child, which they end, runs.
-- The child also exits when this process has ended.
os.execute("trap 'exit 0' INT TERM; while kill -0 $PPID 2>/dev/null; do sleep 1; done")
server:stop()
api:stop()
