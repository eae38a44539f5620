--- The two nginx of the benchmark: the upstream, and the workers that are measured.

local nginx = require "spec.support.nginx"
local users = require "spec.support.mock.users"

local servers = {}

servers.SEED = 7
servers.LATENCY = 0.05

local root = nginx.output_of("pwd")
-- Workers of root's would become someone who may not read its folders.
local user = nginx.output_of("id -u") == "0" and "user root;" or ""

local function configuration(name, values)
  local text = assert(nginx.read_file("bench/nginx/" .. name))
  values.load_modules, values.root, values.user = nginx.find().load_modules, root, user
  return (text:gsub("%${([%w_]+)}", function(key) return values[key] or error("no value for " .. key) end))
end

--- The id of the organization with this many users; late, where its list comes after `LATENCY` seconds.
function servers.org(count, late)
  return ("%08d-0000-4000-8000-00000000000%d"):format(count, late and 1 or 0)
end

--- An upstream with a list for each count.
function servers.upstream(counts)
  return nginx.start {
    name = "podero-bench-upstream", ports = { "upstream" },
    configuration = function(ports, dir)
      assert(nginx.run("mkdir -p " .. dir .. "/lists && chmod 755 " .. dir))
      for _, count in ipairs(counts) do
        nginx.write_file(("%s/lists/%d.json"):format(dir, count), users.list_json(servers.SEED, count))
      end
      return configuration("upstream.conf", { upstream = ports.upstream, latency = tostring(servers.LATENCY) })
    end,
  }
end

--- Workers in front of the API at `port`. `static_token`: see handlers.lua.
function servers.workers(count, port, static_token)
  return nginx.start {
    name = "podero-bench-workers", ports = { "listen" },
    configuration = function(ports)
      return configuration("worker.conf", {
        workers = tostring(count), listen = ports.listen, base_url = "http://127.0.0.1:" .. port, host = "127.0.0.1",
        port = tostring(port), static_token = tostring(static_token),
      })
    end,
  }
end

--- The ids of the worker processes of a server.
function servers.worker_ids(server)
  local ids = {}
  for id in nginx.output_of(("pgrep -P %d"):format(server:pid())):gmatch("%d+") do ids[#ids + 1] = tonumber(id) end
  return ids
end

return servers
