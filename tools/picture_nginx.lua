-- Takes pictures of the roster page of examples/nginx, with a mock Partner API, on a desktop and on a phone.
--   lua5.4 tools/picture_nginx.lua      in the root of the repository; `make picture-nginx` does it
package.path = "./?.lua;" .. package.path

local Browser = require "spec.support.browser"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local site = require "spec.support.site"

local PICTURES = {
  { file = "examples/nginx/roster.png", width = 1120, height = 760 },
  { file = "examples/nginx/roster-phone.png", width = 390, height = 844 },
}

local api = mock.start { tls = false }
api:configure { organizations = { [mock.ORG] = { users = 120, seed = 11 } } }
local server = site.start {
  PODERO_BASE_URL = api.url,
  PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
}
local browser = Browser.start()
local raw = os.tmpname()
for _, picture in ipairs(PICTURES) do
  browser:look(picture.width, picture.height, "light")
  browser:open_page(("%s/orgs/%s/roster"):format(server.url, mock.ORG))
  browser:screenshot(raw)
  -- The page needs no more than 64 colours, which make the file four times smaller.
  assert(nginx.run(("pngquant --force --strip 64 --output %s %s"):format(picture.file, raw)))
  print(picture.file)
end
os.remove(raw)
browser:close()
server:stop()
api:stop()
