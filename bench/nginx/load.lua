--- What loads and watches a server: wrk, a prober, and the kernel's count of processor time.

local nginx = require "spec.support.nginx"
local support = require "bench.support"

local load = {}

local function wrk(url, connections, seconds)
  return ("wrk -t1 -c%d -d%ds --timeout 60s %s"):format(connections, seconds, support.quoted(url))
end

--- Requests a second that a URL answers over this many connections; raises where an answer is not 200.
function load.rate(url, connections, seconds)
  local text = support.output_of(wrk(url, connections, seconds) .. " 2>&1")
  local rate = tonumber(text:match("Requests/sec:%s+([%d.]+)"))
  if not rate or text:find("Non-2xx", 1, true) then error(url .. ": " .. text) end
  return rate
end

--- Runs `f` while wrk is under way, and returns what it returns.
function load.during(url, connections, seconds, f)
  local pipe = assert(io.popen(wrk(url, connections, seconds) .. " 2>&1"))
  local results = table.pack(pcall(f))
  local text = pipe:read("*a")
  pipe:close()
  if not results[1] then error(results[2], 0) end
  if text:find("Non-2xx", 1, true) then error(url .. ": " .. text) end
  return table.unpack(results, 2, results.n)
end

--- How long a URL makes one wait, in seconds, at this share of the probes: see probe.lua.
function load.wait(port, path, seconds, share)
  local text = support.output_of(("luajit bench/nginx/probe.lua %s %s %g %g"):format(port, path, seconds, share))
  return tonumber(text) or error("the prober failed: " .. text)
end

--- Seconds of processor time that a process has used, to a hundredth.
function load.processor_time(pid)
  local text = assert(nginx.read_file(("/proc/%d/stat"):format(pid)), "the process is gone")
  local fields = {}
  for field in text:match("%) (.*)$"):gmatch("%S+") do fields[#fields + 1] = field end
  return (tonumber(fields[12]) + tonumber(fields[13])) / tonumber((support.output_of("getconf CLK_TCK")))
end

return load
