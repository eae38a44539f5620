--- Events of podero's clients as metrics for Prometheus: counters and histograms in a shared dictionary, of all workers
-- together. In nginx.conf: `lua_shared_dict podero_metrics 1m`. Text format 0.0.4, see
-- https://prometheus.io/docs/instrumenting/exposition_formats/
--
-- Each label has few values, all of them named here: nothing that a server chooses (a status, a URL) makes a series of
-- its own. There are 1,000 series at most, which take a quarter of the dictionary.

local metrics = {}

local dictionary = assert(ngx.shared.podero_metrics, "nginx.conf lacks lua_shared_dict podero_metrics 1m;")

-- labels --------------------------------------------------------------------------------------------------------------

--- The values of a label by name; what is none of them counts as the last.
local VALUES = {
  purpose = { "api", "token", "other" },
  status = {
    "none", "200", "201", "202", "204", "400", "401", "403", "404", "408", "409", "429", "500", "502", "503", "504",
    "1xx", "2xx", "3xx", "4xx", "5xx", "other",
  },
  error_kind = {
    "none", "argument", "auth", "http", "network", "timeout", "decode", "schema", "too_large", "not_found", "closed",
    "memory", "other",
  },
  operation = { "get", "set", "add", "delete", "other" },
}

local is_value = {}
for label, values in pairs(VALUES) do
  is_value[label] = {}
  for _, value in ipairs(values) do is_value[label][value] = true end
end

--- The value of a label that stands for a field of an event.
local function value_of(label, field)
  if field == nil then return is_value[label].none and "none" or "other" end
  local exact = type(field) == "number" and ("%.0f"):format(field) or tostring(field)
  if is_value[label][exact] then return exact end
  local class = label == "status" and exact:match "^(%d)%d%d$"
  class = class and class .. "xx"
  return class and is_value[label][class] and class or "other"
end

-- families ------------------------------------------------------------------------------------------------------------

local FAMILIES = {
  { name = "podero_exchanges_total", labels = { "purpose", "status", "error_kind" },
    help = "HTTP exchanges with Podero. error_kind is none if the response could be used." },
  { name = "podero_repeated_exchanges_total", labels = { "purpose" },
    help = "Exchanges that were not the first attempt of a call." },
  { name = "podero_reused_connections_total", labels = { "purpose" },
    help = "Exchanges over a connection that had been kept." },
  { name = "podero_response_bytes_total", labels = { "purpose" }, help = "Decoded bytes of response bodies." },
  { name = "podero_exchange_seconds", labels = { "purpose" }, bounds = { 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
    10, 30 }, help = "Time that exchanges took." },
  { name = "podero_first_byte_seconds", labels = { "purpose" }, bounds = { 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
    10, 30 }, help = "Time until the first byte of a response." },
  { name = "podero_retries_total", labels = { "error_kind" }, help = "Further attempts, by what made them necessary." },
  { name = "podero_retry_pause_seconds_total", labels = {}, help = "Time of the pauses before further attempts." },
  { name = "podero_store_failures_total", labels = { "operation" }, help = "Failures of the token store." },
}

local by_name = {}
for _, family in ipairs(FAMILIES) do by_name[family.name] = family end

--- A number as Prometheus reads it, with as many digits as it takes to read the same number.
local function number(value)
  local short = ("%.15g"):format(value)
  return tonumber(short) == value and short or ("%.17g"):format(value)
end

--- The name of a series, which is its key in the dictionary too. `le`: the bound of a histogram's bucket.
local function series(name, labels, values, le)
  local pairs_ = {}
  for i, label in ipairs(labels) do pairs_[i] = ('%s="%s"'):format(label, values[i]) end
  if le then pairs_[#pairs_ + 1] = ('le="%s"'):format(le) end
  return #pairs_ > 0 and ("%s{%s}"):format(name, table.concat(pairs_, ",")) or name
end

-- events --------------------------------------------------------------------------------------------------------------

-- More than any number of bytes or seconds; sums of less stay finite.
local MOST = 1e15

--- Whether a value can be added: a counter never falls, and one that were infinite or NaN would stay so.
local function is_amount(value)
  return type(value) == "number" and value >= 0 and value <= MOST
end

local function add(key, amount)
  if not is_amount(amount) then return end
  local ok, err = dictionary:incr(key, amount, 0)
  if not ok then ngx.log(ngx.WARN, "metrics: ", err) end
end

local function count(name, event, amount)
  local family, values = by_name[name], {}
  for i, label in ipairs(family.labels) do values[i] = value_of(label, event[label]) end
  add(series(name, family.labels, values), amount)
end

--- Puts a duration into a histogram. A bucket counts its own range here; `metrics.text` adds those below it.
local function observe(name, event, seconds)
  if not is_amount(seconds) then return end
  local family, le = by_name[name], "+Inf"
  for _, bound in ipairs(family.bounds) do
    if seconds <= bound then
      le = number(bound)
      break
    end
  end
  local values = { value_of("purpose", event.purpose) }
  add(series(name .. "_bucket", family.labels, values, le), 1)
  add(series(name .. "_sum", family.labels, values), seconds)
end

local on = {}

function on.exchange(event)
  count("podero_exchanges_total", event, 1)
  count("podero_repeated_exchanges_total", event, (event.attempt or 1) > 1 and 1 or 0)
  count("podero_reused_connections_total", event, event.reused and 1 or 0)
  count("podero_response_bytes_total", event, event.bytes)
  observe("podero_exchange_seconds", event, event.seconds)
  observe("podero_first_byte_seconds", event, event.seconds_to_first_byte)
end

function on.retry(event)
  count("podero_retries_total", event, 1)
  count("podero_retry_pause_seconds_total", event, event.pause)
end

function on.store(event)
  count("podero_store_failures_total", event, 1)
end

--- To be given to podero.new as `on_event`.
function metrics.on_event(event)
  local handler = on[event.type]
  if handler then handler(event) end
end

-- exposition ----------------------------------------------------------------------------------------------------------

--- Calls `f(values)` for each combination of the labels' values.
local function each_combination(labels, f, values)
  values = values or {}
  local label = labels[#values + 1]
  if not label then return f(values) end
  for _, value in ipairs(VALUES[label]) do
    values[#values + 1] = value
    each_combination(labels, f, values)
    values[#values] = nil
  end
end

local function add_counter(lines, family, values)
  local key = series(family.name, family.labels, values)
  local value = dictionary:get(key)
  if value then lines[#lines + 1] = key .. " " .. number(value) end
end

--- The buckets of a histogram are cumulative, and the last, +Inf, is the count: one reading of each is enough for both.
local function add_histogram(lines, family, values)
  local sum = dictionary:get(series(family.name .. "_sum", family.labels, values))
  if not sum then return end
  local total = 0
  local function add_bucket(le)
    local key = series(family.name .. "_bucket", family.labels, values, le)
    total = total + (dictionary:get(key) or 0)
    lines[#lines + 1] = key .. " " .. number(total)
  end
  for _, bound in ipairs(family.bounds) do add_bucket(number(bound)) end
  add_bucket "+Inf"
  lines[#lines + 1] = series(family.name .. "_sum", family.labels, values) .. " " .. number(sum)
  lines[#lines + 1] = series(family.name .. "_count", family.labels, values) .. " " .. number(total)
end

--- All metrics in Prometheus's text format.
function metrics.text()
  local lines = {}
  for _, family in ipairs(FAMILIES) do
    lines[#lines + 1] = ("# HELP %s %s"):format(family.name, family.help)
    lines[#lines + 1] = ("# TYPE %s %s"):format(family.name, family.bounds and "histogram" or "counter")
    local add_series = family.bounds and add_histogram or add_counter
    each_combination(family.labels, function(values) add_series(lines, family, values) end)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Answers a request with them.
function metrics.expose()
  ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
  ngx.print(metrics.text())
end

return metrics
