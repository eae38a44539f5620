-- Takes pictures of the roster page of examples/nginx, in front of the mock Partner API: for a desk and for a phone.
--   lua5.4 tools/picture_nginx.lua      from the root of the repository
package.path = "./?.lua;" .. package.path

local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local site = require "spec.support.site"

local PICTURES = {
  { file = "examples/nginx/roster.png", width = 1120, height = 700 },
  { file = "examples/nginx/roster-phone.png", width = 390, height = 844 },
}

local CHROMIUM = "timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
  .. " --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars"
  .. " --user-data-dir=%s --window-size=%d,%d --screenshot=%s %s >%s 2>&1"

local api = mock.start { tls = false }
api:configure { organizations = { [mock.ORG] = { users = 120, seed = 11 } } }
local server = site.start {
  PODERO_BASE_URL = api.url,
  PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
}
local folder = nginx.temporary_folder("podero-picture")
local ok = true
for _, picture in ipairs(PICTURES) do
  local raw, log = folder .. "/raw.png", folder .. "/chromium.log"
  local url = ("%s/orgs/%s/roster"):format(server.url, mock.ORG)
  -- 64 colours are enough for it, and a quarter of the size.
  ok = ok and nginx.run(CHROMIUM:format(folder .. "/profile", picture.width, picture.height, raw, url, log))
    and nginx.run(("pngquant --force --strip 64 --output %s %s"):format(picture.file, raw))
  if not ok then
    io.stderr:write(nginx.read_file(log) or "", "\n")
    break
  end
  print(picture.file)
end
server:stop()
api:stop()
nginx.run("rm -rf " .. nginx.quoted(folder))
os.exit(ok)
