--- Measures podero in nginx, compared with what nginx offers without a library, and prints one table.
--   lua5.4 bench/nginx.lua [PART...]      in the root of the repository
-- Without arguments, all parts are run, and the table is written to bench/RESULTS-nginx.md.
-- Environment variables:
--   PODERO_BENCH_LUA_PATH   where lua-resty-http and lua-resty-string are, see bench/nginx/servers.lua; lua-resty-http
--                           takes part only if it is found
--   PODERO_TEST_NGINX       another nginx to measure, see spec/support/nginx.lua; then the table is only printed

package.path = "./?.lua;" .. package.path

local Report = require "bench.report"
local load = require "bench.nginx.load"
local machine = require "bench.machine"
local servers = require "bench.nginx.servers"
local support = require "bench.support"

local ROUNDS, SECONDS, CLIENTS = 5, 3, 32
local SHORT, LONG = 100, 10000
local RIVAL_BAR, IDEAL_BAR, WAIT_BAR, BLANKS_BAR, IDLE_BAR = 1.5, 0.93, 0.01, 0.05, 0.01

local NAMES = {
  podero = "podero list_users", capture = "lua-cjson on ngx.location.capture", resty = "lua-cjson on lua-resty-http",
}

-- servers -------------------------------------------------------------------------------------------------------------

--- Returns the servers of most parts: one worker, in front of an upstream that only serves files. They are started by
-- the first call.
local bench
local function one_worker()
  if bench then return bench end
  local upstream = servers.upstream { 1, SHORT, LONG }
  local workers = servers.workers(1, upstream.ports.upstream, true)
  bench = { upstream = upstream, workers = workers, url = "http://127.0.0.1:" .. workers.ports.listen }
  bench.methods = { "podero", "capture" }
  local version, ok = support.output_of("curl -sS --fail --max-time 10 " .. bench.url .. "/resty_version")
  assert(ok and version ~= "", workers:log())
  bench.without_resty = version:match("^missing: (.*)")
  if not bench.without_resty then
    NAMES.resty = NAMES.resty .. " " .. version
    bench.methods[3] = "resty"
  end
  return bench
end

local function address(method, count, late)
  return ("%s/%s/%s"):format(one_worker().url, method, servers.org(count, late))
end

local function rival_rows(report, what, figures, show)
  for _, method in ipairs(one_worker().methods) do
    if method ~= "podero" and figures[method] then
      report:add { what = what, who = NAMES[method], figure = show(support.median(figures[method])) }
    end
  end
end

local function a_second(rate)
  return ("%.0f a second"):format(rate)
end

-- parts ---------------------------------------------------------------------------------------------------------------

local parts = {}

--- Compares requests per second with those of a rival, over `clients` connections. `bar`: how many times as many there
-- have to be.
local function against(report, rival, count, clients, bar)
  local what = ("requests, %d-user lists, no latency, %d %s"):format(count, clients,
    clients == 1 and "client" or "clients")
  local rates = support.rounds(ROUNDS, { "podero", rival }, function(method)
    return load.rate(address(method, count), clients, SECONDS)
  end)
  local ratio = support.ratio(rates.podero, rates[rival])
  report:add {
    what = what, who = NAMES.podero, figure = a_second(support.median(rates.podero)),
    comparison = ("%.2f times as many as %s"):format(ratio, NAMES[rival]),
    bar = ("at least %g"):format(bar), reached = ratio >= bar,
  }
  rival_rows(report, what, rates, a_second)
end

function parts.rate(report)
  against(report, "capture", SHORT, CLIENTS, RIVAL_BAR)
end

-- The number of users in a list, the number of connections, and the bar: how many times as many requests as
-- lua-resty-http.
local RESTY_BARS = {
  { 1, 1, 0.65 }, { 1, 2, 0.85 }, { 1, 8, 0.85 }, { 1, 32, 0.85 },
  { SHORT, 1, 1.3 }, { SHORT, 2, 1.3 }, { SHORT, 8, 1.8 }, { SHORT, 32, 1.8 },
}

function parts.resty(report)
  local missing = one_worker().without_resty
  if missing then return report:skip("requests, short lists, 1 to 32 clients", NAMES.resty, missing) end
  for _, case in ipairs(RESTY_BARS) do
    local count, clients, bar = table.unpack(case)
    against(report, "resty", count, clients, bar)
  end
end

function parts.latency(report)
  local ideal = CLIENTS / servers.LATENCY
  local what = ("requests, %d-user lists, %g ms latency, %d clients"):format(SHORT, servers.LATENCY * 1000, CLIENTS)
  local rates = support.rounds(ROUNDS, one_worker().methods, function(method)
    return load.rate(address(method, SHORT, true), CLIENTS, SECONDS)
  end)
  local share = support.median(rates.podero) / ideal
  report:add {
    what = what, who = NAMES.podero, figure = a_second(support.median(rates.podero)),
    comparison = ("%.0f %% of the ideal %.0f"):format(share * 100, ideal),
    bar = ("at least %.0f %%"):format(IDEAL_BAR * 100), reached = share >= IDEAL_BAR,
  }
  rival_rows(report, what, rates, a_second)
end

local READERS = 16

--- Measures the wait, at the 99th percentile, for a location that answers at once, while other handlers read lists.
function parts.wait(report)
  local what = ("another location, while %d handlers read %d-user lists: wait at the 99th percentile"):format(READERS,
    LONG)
  local port = one_worker().workers.ports.listen
  local waits = support.rounds(ROUNDS, one_worker().methods, function(method)
    return load.wait(port, "/quick", SECONDS, 0.99, address(method, LONG), READERS)
  end)
  local wait = support.median(waits.podero)
  report:add {
    what = what, who = NAMES.podero, figure = Report.seconds(wait),
    comparison = ("%s: %.0f times as long"):format(NAMES.capture, support.ratio(waits.capture, waits.podero)),
    bar = "at most " .. Report.seconds(WAIT_BAR), reached = wait <= WAIT_BAR,
  }
  rival_rows(report, what, waits, Report.seconds)
end

--- Measures the longest wait for a location that answers at once, while one handler reads lists that unpack to nothing
-- but blanks.
function parts.blanks(report)
  local workers, worst = one_worker(), 0
  local url = ("%s/podero/%s"):format(workers.url, servers.BLANKS)
  for _ = 1, ROUNDS do
    worst = math.max(worst, load.wait(workers.workers.ports.listen, "/quick", SECONDS, 1, url, 1))
  end
  report:add {
    what = ("another location, while a handler reads lists of %d MB of blanks: longest wait"):format(
      servers.BLANKS_BYTES // 1000000),
    who = NAMES.podero, figure = Report.seconds(worst), comparison = ("the longest of %d rounds"):format(ROUNDS),
    bar = "at most " .. Report.seconds(BLANKS_BAR), reached = worst <= BLANKS_BAR,
  }
end

local HANDLERS, WORKERS = 256, 4

--- Counts the token requests of many handlers that find their token expired at the same time.
function parts.token(report)
  local mock = support.server()
  local counts, answered = {}, true
  for round = 1, ROUNDS do
    -- The first token expires soon after all workers have used it.
    mock:reset()
    mock:configure { expires_in = 3, always_api = { delay = 0.05 }, always_token = { delay = 0.05 } }
    local workers = servers.workers(WORKERS, mock.port, false)
    local url = ("http://127.0.0.1:%s/podero/%s"):format(workers.ports.listen, support.org(SHORT))
    local before = load.rate(url, HANDLERS, 1)
    mock:patch { expires_in = 36000 }
    os.execute "sleep 3"
    local first = mock:counts().token
    answered = answered and before > 0 and load.rate(url, HANDLERS, 1) > 0
    counts[round] = mock:counts().token - first
    workers:stop()
  end
  local most = math.max(table.unpack(counts))
  report:add {
    what = ("%d handlers, one expired token, %d workers"):format(HANDLERS, WORKERS), who = NAMES.podero,
    figure = ("%d token requests"):format(most), comparison = ("the most of %d rounds"):format(ROUNDS),
    bar = "1", reached = most == 1 and answered,
  }
end

local IDLE, IDLE_SECONDS = 100, 10

--- Measures the processor time of a worker whose handlers all wait for a response.
function parts.idle(report)
  local mock = support.server()
  mock:reset()
  mock:configure { accept_tokens = { support.TOKEN }, always_api = { delay = IDLE_SECONDS + 2 } }
  local workers = servers.workers(1, mock.port, true)
  local worker = assert(servers.worker_ids(workers)[1], "no worker")
  local url = ("http://127.0.0.1:%s/podero/%s"):format(workers.ports.listen, support.org(SHORT))
  local share, waiting = load.during(url, IDLE, IDLE_SECONDS + 2, function()
    os.execute "sleep 1"
    local start = load.processor_time(worker)
    os.execute("sleep " .. IDLE_SECONDS)
    return (load.processor_time(worker) - start) / IDLE_SECONDS, mock:counts().in_flight.api
  end)
  workers:stop()
  report:add {
    what = ("processor time of a worker with %d handlers that wait"):format(IDLE), who = NAMES.podero,
    figure = ("%.1f %% of a core"):format(share * 100), comparison = ("%d requests under way"):format(waiting),
    bar = ("under %.0f %%"):format(IDLE_BAR * 100), reached = share < IDLE_BAR and waiting == IDLE,
  }
end

-- run -----------------------------------------------------------------------------------------------------------------

local ALL = { "rate", "resty", "latency", "wait", "blanks", "token", "idle" }

local DOCUMENT = [[
# Results of the last `make bench-nginx`

%s, in %d seconds. To repeat it: `make bench-nginx` (or, if the packages are installed, `lua5.4 bench/nginx.lua`).

%s

%s

Rates and waits are medians of %d rounds of %d seconds, in which the contestants take turns. A comparison is the median
of the ratios of the rounds. One nginx worker is measured; it shares the cores with wrk and the upstream. The upstream
only serves files, so that the worker is what is measured. "lua-cjson on ngx.location.capture" is what nginx offers
without a library: a subrequest to a `proxy_pass` that keeps connections, lua-cjson, and a loop that removes nulls.
"lua-cjson on lua-resty-http" is the HTTP client that most people use, with its connection pool, lua-cjson and the same
loop. Waits are measured with one request every 5 ms, sent whether the previous ones were answered or not. The blanks
are sent as 58 KB of gzip.
]]

local function chosen_parts()
  for _, name in ipairs(arg) do
    if not parts[name] then
      io.stderr:write("usage: lua5.4 bench/nginx.lua [PART...]; parts: ", table.concat(ALL, " "), "\n")
      os.exit(2)
    end
  end
  return #arg > 0 and arg or ALL
end

local function run(chosen)
  local report, loaded, start = Report.new(), machine.load(), os.time()
  assert(os.execute "make --no-print-directory -s LUA=luajit all >&2", "the module could not be built")
  for _, name in ipairs(chosen) do
    local began = os.time()
    parts[name](report)
    support.say("%s: %d seconds", name, os.time() - began)
  end
  print(report:table())
  if chosen ~= ALL or os.getenv("PODERO_TEST_NGINX") then return end
  support.write("bench/RESULTS-nginx.md", DOCUMENT:format(os.date("!%Y-%m-%d %H:%M UTC"), os.time() - start,
    machine.describe(loaded), report:table(), ROUNDS, SECONDS))
end

local ok, problem = xpcall(run, debug.traceback, chosen_parts())
-- Stop the mock server first. It was started last, and holds open the pipes whose end the others wait for.
support.clean_up()
if bench then
  bench.workers:stop()
  bench.upstream:stop()
end
if not ok then
  io.stderr:write(problem, "\n")
  os.exit(1)
end
