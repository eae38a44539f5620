-- Runs every Lua block and every nginx.conf of README and site with the mock Partner API. A block that is followed by
-- its output has to print it.

local documents = require "spec.support.documents"
local helper = require "spec.support.helper"
local http = require "socket.http"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"

-- Lua blocks run on Lua 5.4, and nginx's on LuaJIT, which it contains.
local HAS_JIT = rawget(_G, "jit") ~= nil
if (_VERSION ~= "Lua 5.4" and not HAS_JIT) or helper.CHECKED then return end

-- What blocks use although only the first one of a page defines it, or the page only describes it: the organization, a
-- client, podero.mock, a store of secrets. `podero.new` replaces placeholders by the mock's credentials and address.
local PRELUDE = [[
local secrets = %s
podero, mock = require "podero", require "podero.mock"
local new = podero.new
local actual = { ["…"] = true }
function podero.new(options)
  local copy = {}
  for name, value in pairs(options or {}) do copy[name] = value end
  copy.base_url = secrets.url
  if actual[copy.client_id] then copy.client_id = secrets.client_id end
  if actual[copy.client_secret] then copy.client_secret = secrets.client_secret end
  if copy.client_secret_file then copy.client_secret_file = secrets.file end
  return new(copy)
end
org_id = secrets.org
vault = { read = function() return secrets.client_secret end }
]]

-- Each block begins with a new client.
local BLOCK = [[
client = assert(podero.new())
io.write("\1", %d, "\n")
assert(load(%q, "=%s:%d"))()
]]

-- Folders for temporary files that nginx may write to without being root.
local HTTP = [[
http {
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
]]

describe("the documentation", function()
  local server, folder

  setup(function()
    server = mock.start { tls = false }
    folder = nginx.temporary_folder("podero-documents")
    nginx.write_file(folder .. "/secret", mock.credentials.client_secret .. "\n")
  end)
  teardown(function()
    server:stop()
    helper.shell("rm -rf " .. folder)
  end)

  --- Runs the Lua blocks of a page in one process, in a temporary folder. Returns their output, each after its line
  -- number, and the exit code.
  local function run(name)
    local secrets = ("{ url = %q, org = %q, client_id = %q, client_secret = %q, file = %q }"):format(server.url,
      mock.ORG, mock.credentials.client_id, mock.credentials.client_secret, folder .. "/secret")
    local program = { PRELUDE:format(secrets) }
    for _, block in ipairs(documents.blocks_in(name, "lua")) do
      program[#program + 1] = BLOCK:format(block.line, block.text, name, block.line)
    end
    nginx.write_file(folder .. "/program.lua", table.concat(program, "\n"))
    local paths = ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath)
    return helper.shell(("cd %s && %s %s -e %s program.lua 2>errors"):format(folder, helper.environment {
      PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
    }, helper.quoted(helper.interpreter()), helper.quoted(paths)))
  end

  --- Replaces the first occurrence of a pattern, which has to be there.
  local function replaced(text, pattern, replacement)
    local result, count = text:gsub(pattern, (replacement:gsub("%%", "%%%%")), 1)
    assert(count == 1, pattern)
    return result
  end

  --- Starts nginx with a configuration of the documentation, after changing the port, the paths of modules and of
  -- temporary files, and the API's URL, which becomes the mock's.
  local function start(configuration)
    return nginx.start {
      name = "podero-documents", ports = { "plain" },
      configuration = function(ports)
        local text = replaced(configuration, "load_module[^\n]*\nload_module[^\n]*\n", nginx.find().load_modules)
        text = replaced(text, "127%.0%.0%.1:8080", "127.0.0.1:" .. ports.plain)
        if not text:find("env PODERO_BASE_URL;", 1, true) then text = "env PODERO_BASE_URL;\n" .. text end
        text = replaced(text, "http {\n", HTTP)
        return text
      end,
      environment = {
        LUA_PATH = false, LUA_CPATH = package.cpath, no_proxy = "*", PODERO_BASE_URL = server.url,
        PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
      },
    }
  end

  for _, name in ipairs(documents.names()) do
    if not HAS_JIT and documents.blocks_in(name, "lua")[1] then
      it("has Lua code that runs and prints the given output in " .. name, function()
        server:reset()
        server:configure {
          organizations = { ["00000000-0000-4000-8000-000000000000"] = { status = 404 } },
          paths = {
            ["POST " .. helper.users_path()] = {
              status = 201, body = "{\"id\": \"5c7d\"}", content_type = "application/json",
            },
          },
        }
        local output, code = run(name)
        assert.equal(0, code, output .. nginx.read_file(folder .. "/errors"))
        local printed = {}
        for line, text in output:gmatch("\1(%d+)\n([^\1]*)") do printed[tonumber(line)] = text end
        local before
        for _, block in ipairs(documents.blocks(documents.read(name))) do
          if block.language == "output" then
            assert.equal(block.text, printed[before.line], ("%s:%d"):format(name, block.line))
          end
          before = block
        end
      end)
    end

    if HAS_JIT then
      for _, block in ipairs(documents.blocks_in(name, "nginx")) do
        it(("has an nginx.conf that lists the admins in %s:%d"):format(name, block.line), function()
          -- Only root may write Debian's default, /var/log/nginx/access.log.
          assert.truthy(block.text:find("\n  access_log ", 1, true))
          local site = start(block.text)
          local body, status = http.request(("http://127.0.0.1:%d/admins"):format(site.ports.plain))
          local log = site:log()
          site:stop()
          assert.equal(200, status, log)
          assert.equal("anna.gruber.100001@example.com\nlodie.lindstrm.100005@example.org\n", body)
        end)
      end
    end
  end
end)
