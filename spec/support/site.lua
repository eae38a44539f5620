--- Starts the site of examples/nginx with an API. Only the port and the paths of nginx's modules are changed in its
-- files.

local nginx = require "spec.support.nginx"

local site = {}

local root = nginx.output_of("pwd")

--- Replaces a text; raises an error if it does not occur.
local function replaced(text, pattern, replacement)
  local result, count = text:gsub(pattern, (replacement:gsub("%%", "%%%%")))
  assert(count > 0, pattern .. " is not in the site's nginx.conf")
  return result
end

local function configuration(ports, dir, options, files)
  local text = assert(nginx.read_file("examples/nginx/nginx.conf"))
  -- The command's modules, which write CSV and JSON for the site, too.
  assert(nginx.run(("mkdir -p %s/lua/podero && cp -R %s/src/command %s/lua/podero/command"):format(
    nginx.quoted(dir), nginx.quoted(root), nginx.quoted(dir))))
  local name = dir .. "/lua/site/client.lua"
  local client = nginx.read_file(name)
  for option, value in pairs(options) do
    client = replaced(client, "\n  " .. option .. " = [^\n]*,\n", ("\n  %s = %s,\n"):format(option, value))
  end
  nginx.write_file(name, client)
  for file, content in pairs(files) do nginx.write_file(dir .. "/" .. file, content) end
  text = replaced(text, "load_module[^\n]*\nload_module[^\n]*\n", nginx.find().load_modules)
  return replaced(text, "listen 127%.0%.0%.1:8080", "listen 127.0.0.1:" .. ports.site)
end

--- Starts a site with the module that is built for LuaJIT. `environment`: environment variables to set, PODERO_* and
-- others. `options`: replacements for options of its client, as Lua source. `files`: contents of files to replace, by
-- name. Returns the server of nginx.start, with `url`.
function site.start(environment, options, files)
  local variables = {
    LUA_PATH = false, LUA_CPATH = nginx.module_path(), no_proxy = "*",
    PODERO_USERNAME = false, PODERO_PASSWORD = false, PODERO_ACCESS_TOKEN = false, PODERO_TOKEN_URL = false,
  }
  for name, value in pairs(environment) do variables[name] = value end
  local server = nginx.start {
    name = "podero-site", files = root .. "/examples/nginx", ports = { "site" },
    configuration = function(ports, dir) return configuration(ports, dir, options or {}, files or {}) end,
    environment = variables,
  }
  server.url = "http://127.0.0.1:" .. server.ports.site
  return server
end

return site
