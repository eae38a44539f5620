--- Loads and watches a server: with wrk, a prober, and the kernel's count of processor time.

local nginx = require "spec.support.nginx"
local support = require "bench.support"

local load = {}

local function wrk(url, connections, seconds)
  return ("wrk -t1 -c%d -d%ds --timeout 60s %s"):format(connections, seconds, support.quoted(url))
end

--- Returns the output of wrk. Raises an error unless all of its requests were answered with 200.
local function checked(text, url)
  if not text:find("Requests/sec", 1, true) or text:find("Non-2xx", 1, true) or text:find("Socket errors", 1, true) then
    error(url .. ": " .. text)
  end
  return text
end

--- Returns the requests per second that a URL answers over this many connections.
function load.rate(url, connections, seconds)
  local text = checked(support.output_of(wrk(url, connections, seconds) .. " 2>&1"), url)
  return tonumber(text:match("Requests/sec:%s+([%d.]+)"))
end

--- Calls `f` while wrk runs, and returns its results.
function load.during(url, connections, seconds, f)
  local pipe = assert(io.popen(wrk(url, connections, seconds) .. " 2>&1"))
  local results = table.pack(pcall(f))
  local text = pipe:read("*a")
  pipe:close()
  if not results[1] then error(results[2], 0) end
  checked(text, url)
  return table.unpack(results, 2, results.n)
end

--- Returns how many seconds a path takes to answer, at this quantile (0 to 1), while wrk loads another URL. See
-- probe.lua.
function load.wait(port, path, seconds, share, url, connections)
  local probe = assert(io.popen(("luajit bench/nginx/probe.lua %s %s %g %g 2>&1"):format(port, path, seconds, share)))
  local text = probe:read("*l")
  if text == "ready" then
    text = load.during(url, connections, seconds + 2, function() return probe:read("*a") end)
  end
  probe:close()
  return tonumber(text) or error("the prober failed: " .. tostring(text))
end

--- Returns the seconds of processor time that a process has used, in steps of a hundredth.
function load.processor_time(pid)
  local text = assert(nginx.read_file(("/proc/%d/stat"):format(pid)), "the process is gone")
  local fields = {}
  for field in text:match("%) (.*)$"):gmatch("%S+") do fields[#fields + 1] = field end
  return (tonumber(fields[12]) + tonumber(fields[13])) / tonumber((support.output_of("getconf CLK_TCK")))
end

return load
