--- The two nginx servers of the benchmark: the upstream, and the workers that are measured.

local nginx = require "spec.support.nginx"
local users = require "spec.support.mock.users"

local servers = {}

servers.SEED = 7
servers.LATENCY = 0.05

local root = nginx.output_of("pwd")
-- The organization whose list consists of `BLANKS_BYTES` blanks, compressed with gzip.
servers.BLANKS, servers.BLANKS_BYTES = "b1a2c500-0000-4000-8000-000000000000", 60000000

-- If root starts nginx, its workers would otherwise run as a user who may not read root's folders.
local user = nginx.output_of("id -u") == "0" and "user root;" or ""

local function configuration(name, which, values)
  local text = assert(nginx.read_file("bench/nginx/" .. name))
  values.load_modules, values.root, values.user = which.load_modules, root, user
  return (text:gsub("%${([%w_]+)}", function(key) return values[key] or error("no value for " .. key) end))
end

--- Returns the id of the organization with this many users. `late`: its list is sent after `LATENCY` seconds.
function servers.org(count, late)
  return ("%08d-0000-4000-8000-00000000000%d"):format(count, late and 1 or 0)
end

--- Writes a file with an empty array that has blanks between its brackets, compressed with gzip.
local function write_blanks(file)
  assert(nginx.run(("{ printf '['; head -c %d /dev/zero | tr '\\0' ' '; printf ']'; } | gzip -9n >%s"):format(
    servers.BLANKS_BYTES, nginx.quoted(file))), "no " .. file)
end

--- Starts an upstream with a list for each number of users, and with the list of blanks. It gives a token to anyone.
function servers.upstream(counts)
  return nginx.start {
    name = "podero-bench-upstream", ports = { "upstream" }, installed = true,
    configuration = function(ports, dir)
      assert(nginx.run("mkdir -p " .. dir .. "/lists && chmod 755 " .. dir))
      for _, count in ipairs(counts) do
        nginx.write_file(("%s/lists/%d.json"):format(dir, count), users.list_json(servers.SEED, count))
      end
      write_blanks(dir .. "/lists/blanks.gz")
      return configuration("upstream.conf", nginx.installed(), {
        upstream = ports.upstream, latency = tostring(servers.LATENCY), blanks = servers.BLANKS,
      })
    end,
  }
end

--- Starts workers in front of the API at `port`. `static_token`: see handlers.lua. The environment variable
-- PODERO_BENCH_LUA_PATH says where lua-resty-http and lua-resty-string are: a folder, or a list as in LUA_PATH.
function servers.workers(count, port, static_token)
  local rivals = nginx.templates("PODERO_BENCH_LUA_PATH", "?.lua")
  return nginx.start {
    name = "podero-bench-workers", ports = { "listen" },
    configuration = function(ports)
      return configuration("worker.conf", nginx.find(), {
        workers = tostring(count), listen = ports.listen, base_url = "http://127.0.0.1:" .. port, host = "127.0.0.1",
        port = tostring(port), static_token = tostring(static_token), rivals = rivals and rivals .. ";" or "",
      })
    end,
  }
end

--- Returns the ids of the worker processes of a server.
function servers.worker_ids(server)
  local ids = {}
  for id in nginx.output_of(("pgrep -P %d"):format(server:pid())):gmatch("%d+") do ids[#ids + 1] = tonumber(id) end
  return ids
end

return servers
