-- nginx contains a LuaJIT, so this runs on LuaJIT only.
if not rawget(_G, "jit") then return end

local http = require "socket.http"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local root = nginx.output_of("pwd")

-- A location for the specs that reports a posted event, given as Lua.
local EMIT = [[
    location = /emit {
      content_by_lua_block {
        ngx.req.read_body()
        require("metrics").on_event(assert(loadstring("return " .. ngx.req.get_body_data()))())
      }
    }
    location = /metrics {]]

describe("the metrics of examples/metrics", function()
  local api, server

  local function configuration(ports)
    local text = assert(nginx.read_file("examples/metrics/nginx.conf"))
    local function replace(pattern, replacement)
      local count
      text, count = text:gsub(pattern, (replacement:gsub("%%", "%%%%")))
      assert(count > 0, pattern .. " is not in nginx.conf")
    end
    replace("load_module[^\n]*\nload_module[^\n]*\n", nginx.find().load_modules)
    replace("127%.0%.0%.1:8080", "127.0.0.1:" .. ports.count)
    replace("127%.0%.0%.1:9145", "127.0.0.1:" .. ports.metrics)
    replace("    location = /metrics {", EMIT)
    return text
  end

  setup(function() api = mock.start { tls = false } end)
  teardown(function() api:stop() end)
  before_each(function()
    api:reset()
    server = nginx.start {
      name = "podero-metrics", files = root .. "/examples/metrics", ports = { "count", "metrics" },
      configuration = configuration,
      environment = {
        LUA_PATH = false, LUA_CPATH = nginx.module_path(), no_proxy = "*",
        PODERO_USERNAME = false, PODERO_PASSWORD = false, PODERO_ACCESS_TOKEN = false, PODERO_TOKEN_URL = false,
        PODERO_BASE_URL = api.url,
        PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
      },
    }
  end)
  after_each(function() server:stop() end)

  local function count_users()
    return http.request(("http://127.0.0.1:%s/orgs/%s/count"):format(server.ports.count, mock.ORG))
  end

  local function emit(event)
    local body, status = http.request(("http://127.0.0.1:%s/emit"):format(server.ports.metrics), event)
    assert.equal(200, status, tostring(body) .. server:log())
  end

  local function scrape()
    local body, status, fields = http.request(("http://127.0.0.1:%s/metrics"):format(server.ports.metrics))
    assert.equal(200, status, body)
    return body, fields
  end

  --- The labels of a sample, by name.
  local function labels_of(text)
    local labels, position = {}, 1
    while position <= #text do
      local name, value, after = text:match('^([%a_][%w_]*)="([^"\\\n]*)"()', position)
      assert(name and not labels[name], text)
      labels[name] = value
      position = text:match("^,()", after) or after
      assert(position > after or after > #text, text)
    end
    return labels
  end

  --- Checks that the buckets of a histogram rise up to +Inf, whose value is the count.
  local function check_histogram(family, samples)
    local below = {}
    for _, sample in ipairs(samples) do
      local suffix, purpose = sample.name:sub(#family + 1), sample.labels.purpose
      local state = below[purpose] or { bound = -math.huge, value = 0 }
      below[purpose] = state
      if suffix == "_bucket" then
        local bound = sample.labels.le == "+Inf" and math.huge or tonumber(sample.labels.le)
        assert.is_true(bound > state.bound and sample.value >= state.value, sample.line)
        state.bound, state.value = bound, sample.value
      elseif suffix == "_count" then
        assert.equal(math.huge, state.bound)
        assert.equal(state.value, sample.value, sample.line)
      else
        assert.equal("_sum", suffix)
      end
    end
  end

  --- Parses and checks the text format. Returns the values by series, as their lines name them.
  local function parse(text)
    local values, families, samples, family = {}, {}, nil, nil
    assert.equal("\n", text:sub(-1))
    for line in text:gmatch("([^\n]*)\n") do
      local word, name, rest = line:match("^# (%u+) ([%a_:][%w_:]*) (.+)$")
      if word == "HELP" then
        assert.is_nil(families[name], line) -- each family is in one piece
        family, samples = name, {}
        families[name] = { samples = samples }
        assert.is_nil(rest:find("\\", 1, true))
      elseif word == "TYPE" then
        assert.equal(family, name)
        assert.equal(0, #samples)
        assert.truthy(rest == "counter" or rest == "histogram", line)
        families[name].type = rest
      else
        local series, value = line:match("^(%S+) (%S+)$")
        local sample_name, labels = series:match("^([%a_:][%w_:]*){([^}]+)}$")
        local sample = {
          name = sample_name or series, labels = labels_of(labels or ""), value = assert(tonumber(value), line),
          line = line,
        }
        assert.is_nil(values[series], line)
        assert.truthy(sample.name == family or families[family].type == "histogram"
          and sample.name:sub(1, #family) == family, line)
        assert.is_true(sample.value >= 0 and sample.value < math.huge, line)
        values[series] = sample.value
        samples[#samples + 1] = sample
      end
    end
    for name, one in pairs(families) do
      assert.truthy(one.type, name)
      assert.equal(one.type == "counter", name:find("_total$") ~= nil, name)
      if one.type == "histogram" then check_histogram(name, one.samples) end
    end
    return values
  end

  it("count the client's exchanges", function()
    for _ = 1, 5 do assert.equal("25\n", (count_users())) end
    local text, fields = scrape()
    assert.equal("text/plain; version=0.0.4; charset=utf-8", fields["content-type"])
    local values = parse(text)
    assert.equal(1, values['podero_exchanges_total{purpose="token",status="200",error_kind="none"}'])
    assert.equal(5, values['podero_exchanges_total{purpose="api",status="200",error_kind="none"}'])
    assert.equal(0, values['podero_repeated_exchanges_total{purpose="api"}'])
    assert.equal(5, values['podero_exchange_seconds_bucket{purpose="api",le="+Inf"}'])
    assert.equal(5, values['podero_exchange_seconds_count{purpose="api"}'])
    local sum = values['podero_exchange_seconds_sum{purpose="api"}']
    assert.is_true(sum > 0 and sum < 10, sum)
    local size = values['podero_response_bytes_total{purpose="api"}']
    assert.is_true(size > 5000 and size % 5 == 0, size)
  end)

  it("count failures and further attempts", function()
    api:configure { script = { api = { { status = 503, headers = { ["Retry-After"] = "0" } } } } }
    assert.equal("25\n", (count_users()))
    api:configure { always_api = { status = 418 } }
    assert.equal(502, select(2, count_users()))
    local values = parse((scrape()))
    assert.equal(1, values['podero_exchanges_total{purpose="api",status="503",error_kind="http"}'])
    assert.equal(1, values['podero_exchanges_total{purpose="api",status="200",error_kind="none"}'])
    assert.equal(1, values['podero_exchanges_total{purpose="api",status="4xx",error_kind="http"}'])
    assert.equal(1, values['podero_repeated_exchanges_total{purpose="api"}'])
  end)

  it("count durations in buckets whose bounds are included", function()
    local event = '{ type = "exchange", purpose = "api", status = 200, attempt = 1, bytes = 1, seconds = %.17g }'
    for _, seconds in ipairs { 0, 0.01, 0.011, 2.5, 30, 31, 1e6 } do emit(event:format(seconds)) end
    local values = parse((scrape()))
    local counts = {}
    for i, le in ipairs { "0.01", "0.025", "0.05", "1", "2.5", "30", "+Inf" } do
      counts[i] = values[('podero_exchange_seconds_bucket{purpose="api",le="%s"}'):format(le)]
    end
    assert.same({ 2, 3, 3, 3, 4, 5, 7 }, counts)
    assert.equal(7, values['podero_exchange_seconds_count{purpose="api"}'])
  end)

  it("count retries, failures of the token store, reused connections and times to the first byte", function()
    emit '{ type = "retry", attempt = 1, pause = 0.25, error_kind = "network" }'
    emit '{ type = "retry", attempt = 2, pause = 0.5, error_kind = "http", status = 503 }'
    emit '{ type = "retry", attempt = 3, error_kind = "http", status = 503 }'
    emit '{ type = "store", operation = "set", message = "no memory" }'
    emit [[{ type = "exchange", purpose = "api", status = 200, attempt = 1, bytes = 7, seconds = 0.2, reused = true,
      seconds_to_first_byte = 0.1 }]]
    emit [[{ type = "exchange", purpose = "api", status = 200, attempt = 1, bytes = 8, seconds = 0.2, reused = false,
      seconds_to_first_byte = 0.25 }]]
    emit '{ type = "something new", purpose = "api" }'
    local values = parse((scrape()))
    assert.equal(1, values['podero_retries_total{error_kind="network"}'])
    assert.equal(2, values['podero_retries_total{error_kind="http"}'])
    assert.equal(0.75, values.podero_retry_pause_seconds_total)
    assert.equal(1, values['podero_store_failures_total{operation="set"}'])
    assert.equal(1, values['podero_reused_connections_total{purpose="api"}'])
    assert.equal(15, values['podero_response_bytes_total{purpose="api"}'])
    assert.equal(1, values['podero_first_byte_seconds_bucket{purpose="api",le="0.1"}'])
    assert.equal(2, values['podero_first_byte_seconds_count{purpose="api"}'])
    assert.equal(0.35, values['podero_first_byte_seconds_sum{purpose="api"}'])
  end)

  it("have a bounded number of series, whatever is in the events", function()
    local events = {}
    for status = 100, 599 do
      local event = '{ type = "exchange", purpose = "p%d", status = %d, error_kind = "k%d", attempt = 1e308 }'
      events[#events + 1] = event:format(status, status, status)
    end
    for _, odd in ipairs { "0 / 0", "1 / 0", "-1", "1e308", "-1e308", "2 ^ 63", "'x\"\\n'", "{}", "true", "200.4" } do
      events[#events + 1] = ([[{ type = "exchange", purpose = %s, status = %s, error_kind = %s, bytes = %s,
        seconds = %s, seconds_to_first_byte = %s }]]):gsub("%%s", (odd:gsub("%%", "%%%%")))
      events[#events + 1] = ('{ type = "retry", pause = %s, error_kind = %s }'):format(odd, odd)
      events[#events + 1] = ('{ type = "store", operation = %s, message = %s }'):format(odd, odd)
    end
    for _ = 1, 3 do events[#events + 1] = '{ type = "retry", pause = 1.7e308 }' end
    for first = 1, #events, 100 do
      local some = table.concat(events, ",", first, math.min(first + 99, #events))
      emit(("(function() for _, event in ipairs { %s } do require('metrics').on_event(event) end return {} end)()")
        :format(some))
    end
    local text = scrape()
    local values = parse(text)
    local total, count = 0, 0
    for series, value in pairs(values) do
      count = count + 1
      if series:find("^podero_exchanges_total{") then total = total + value end
    end
    assert.equal(510, total)
    assert.is_true(count < 100, count)
    assert.truthy(values['podero_exchanges_total{purpose="other",status="4xx",error_kind="other"}'])
    assert.is_nil(server:log():find("[error]", 1, true))
  end)

  it("are the sums of all workers, and survive a reload", function()
    for _ = 1, 20 do emit '{ type = "store", operation = "get", message = "x" }' end
    local function workers() return nginx.output_of(("pgrep -P %d | sort"):format(server:pid())) end
    local before = workers()
    assert.is_true(nginx.run("kill -HUP " .. server:pid()))
    local ends = socket.gettime() + 10
    local function is_new()
      for id in workers():gmatch("%d+") do
        if before:find(id, 1, true) then return false end
      end
      return workers() ~= ""
    end
    while not is_new() do
      assert.is_true(socket.gettime() < ends, server:log())
      socket.sleep(0.02)
    end
    emit '{ type = "store", operation = "get", message = "x" }'
    assert.equal(21, parse((scrape()))['podero_store_failures_total{operation="get"}'])
  end)

  it("are served before any event, and only for the server's own host names", function()
    assert.same({}, parse((scrape())))
    for _, port in pairs(server.ports) do
      local status = select(2, http.request {
        url = ("http://127.0.0.1:%s/metrics"):format(port), headers = { Host = "rebound.example" },
      })
      assert.equal(421, status)
    end
    assert.equal(404, select(2, http.request(("http://127.0.0.1:%s/metrics"):format(server.ports.count))))
  end)
end)
