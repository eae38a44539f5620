--- The mock Partner API inside nginx: token endpoints, users, misbehaviour on request, and the control API.
-- There is one nginx process, so plain variables of this module are the server's state.
-- luacheck: std ngx_lua

local cjson = require "cjson.safe"
local net = require "net"
local users = require "users"

local api = {}

local KEEP_REQUESTS = 500
local KEEP_BODY = 64 * 1024
local LARGEST_KEPT_LIST = 16 * 1024 * 1024
local LIST_CACHE = 96 * 1024 * 1024

local PREFIX = "/api/partners/"
local TOKEN_PATHS = { ["/api/partners/v2.0/auth/token"] = true, ["/oauth2/token/"] = true }
local UUID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12) .. "$"

-- configuration -------------------------------------------------------------------------------------------------------

local DEFAULTS = {
  -- Token endpoints: which request encodings they read ("both", "form", "json") and how they refuse the other one.
  encoding = "both",
  encoding_refusal = "ninja_422",
  -- How a client may authenticate ("both", "basic", "body"), and how another way is refused.
  client_auth = "both",
  client_refusal = "invalid_client",
  -- Whether id and secret are form-decoded after Basic's base64, as RFC 6749 2.3.1 has it.
  basic_decode = true,
  -- Whether the password and refresh_token grants want a client too.
  client_required = false,
  client_id = "demo-client",
  client_secret = "demo-secret",
  username = "ada@example.com",
  password = "correct horse",
  grants = { "client_credentials", "password", "refresh_token" },
  -- How a grant that is not in the list is refused.
  grant_refusal = "unsupported_grant_type",
  -- Path of a token endpoint -> what differs there from the above; `always`: a step for each of its requests.
  endpoints = {},
  -- Raw JSON, or "none" to leave it out. How long a token is really good for follows it, unless `token_lifetime`
  -- (seconds) says otherwise.
  expires_in = "36000",
  token_lifetime = false,
  -- Whether refresh tokens are given, each good for one use.
  refresh = false,
  -- Raw JSON members for the token answer, and a raw body instead of it.
  token_extra = "",
  token_raw = false,
  -- Bearer tokens that are good without having been issued; revoking does not touch them.
  accept_tokens = {},
  -- Organization id -> { users =, seed =, extra = raw JSON members of each user, status =, raw = raw body }. Every
  -- other UUID is an organization with `default_users` users and a seed made from its first six digits.
  default_users = 25,
  organizations = {},
  -- Path -> { status =, body =, content_type =, headers = }.
  paths = {},
  -- Whether lists come with a Content-Length, and whether answers are compressed for clients that ask.
  content_length = false,
  gzip = false,
  require_client_cert = false,
  -- Queues of steps, { api = { step, ... }, token = { step, ... } }, and a step for every request after the queue.
  script = {},
  always_api = false,
  always_token = false,
}

local CHOICES = {
  encoding = { both = true, form = true, json = true },
  encoding_refusal = { ninja_422 = true, ninja_400 = true, ["415"] = true, dot = true, invalid_request = true },
  client_auth = { both = true, basic = true, body = true },
  client_refusal = { invalid_client = true, invalid_request = true, unauthorized = true },
  grant_refusal = { unsupported_grant_type = true, ninja_422 = true },
}

-- A step: `status` and `body` stand for the answer, `headers` and `content_type` change it, `delay` (seconds) comes
-- before it, `revoke` makes all tokens invalid first, `times` repeats the step, `ok` says that nothing is special.
-- `fault` names one of the faults below, which read `after` (bytes of the body that are sent before it), `interval` and
-- `chunk` (drip), `seconds` (stall) and `bytes` (big_headers, gzip_bomb).
local STEP_KEYS = {
  ok = true, status = true, headers = true, body = true, content_type = true, delay = true, fault = true, after = true,
  interval = true, chunk = true, bytes = true, seconds = true, revoke = true, times = true,
}

local faults = {}

local config, scripts
local counts, requests, request_total
local tokens, refresh_tokens, issued

local function check_step(step, where)
  if type(step) ~= "table" then return where .. ": a step is a table" end
  for key in pairs(step) do
    if not STEP_KEYS[key] then return ("%s: unknown step field %s"):format(where, tostring(key)) end
  end
  if step.fault and not faults[step.fault] then return ("%s: unknown fault %s"):format(where, step.fault) end
end

--- The steps of a queue, those with `times` repeated.
local function expand(queue)
  local steps = { next = 1 }
  for _, step in ipairs(queue or {}) do
    for _ = 1, step.times or 1 do
      steps[#steps + 1] = step
    end
  end
  return steps
end

--- A message if a key is unknown or its value none of its choices.
local function check_key(name, value)
  if DEFAULTS[name] == nil then return ("unknown configuration key %s"):format(tostring(name)) end
  if CHOICES[name] and not CHOICES[name][value] then return ("%s cannot be %s"):format(name, tostring(value)) end
end

local function check_endpoint(path, endpoint)
  if not TOKEN_PATHS[path] then return ("no token endpoint: %s"):format(path) end
  for name, value in pairs(endpoint) do
    local problem
    if name == "always" then problem = check_step(value, path) else problem = check_key(name, value) end
    if problem then return problem end
  end
end

--- Puts `given` over `base`; returns a message if something in it is wrong, and changes nothing then. The queues of
-- steps start anew unless a patch leaves them alone.
local function configure(given, base)
  local new = {}
  for name, value in pairs(base) do new[name] = value end
  for name, value in pairs(given) do
    local problem = check_key(name, value)
    if problem then return problem end
    new[name] = value
  end
  for path, endpoint in pairs(new.endpoints) do
    local problem = check_endpoint(path, endpoint)
    if problem then return problem end
  end
  for endpoint, queue in pairs(new.script) do
    if endpoint ~= "api" and endpoint ~= "token" then return "script has the queues api and token only" end
    for i, step in ipairs(queue) do
      local problem = check_step(step, ("script.%s[%d]"):format(endpoint, i))
      if problem then return problem end
    end
  end
  for _, name in ipairs { "always_api", "always_token" } do
    local problem = new[name] and check_step(new[name], name)
    if problem then return problem end
  end
  local organizations = {}
  for id, organization in pairs(new.organizations) do organizations[id:lower()] = organization end
  new.organizations = organizations
  if type(new.expires_in) == "number" then new.expires_in = ("%.14g"):format(new.expires_in) end
  if base == DEFAULTS or given.script then
    scripts = { api = expand(new.script.api), token = expand(new.script.token) }
  end
  config = new
end

local function clear_records()
  counts = {
    token = 0, api = 0, other = 0, connections = 0, statuses = {}, tokens_by_grant = {},
    in_flight = { token = 0, api = 0, other = 0 }, max_in_flight = { token = 0, api = 0, other = 0 },
    seen_connections = {},
  }
  requests, request_total = {}, 0
end

local function reset()
  configure({}, DEFAULTS)
  clear_records()
  tokens, refresh_tokens = {}, {}
  issued = issued or 0
end

-- answers -------------------------------------------------------------------------------------------------------------

local REASONS = {
  [200] = "OK", [201] = "Created", [204] = "No Content", [301] = "Moved Permanently", [302] = "Found",
  [307] = "Temporary Redirect", [308] = "Permanent Redirect", [400] = "Bad Request", [401] = "Unauthorized",
  [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout",
  [415] = "Unsupported Media Type", [422] = "Unprocessable Entity", [429] = "Too Many Requests",
  [500] = "Internal Server Error", [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
}

local JSON_TYPE = "application/json; charset=utf-8"

--- An answer: status, headers, and either `body` (text) or `pieces` (a function that makes an iterator).
local function answer(status, body, headers)
  local all = { ["Content-Type"] = JSON_TYPE }
  for name, value in pairs(headers or {}) do all[name] = value end
  return { status = status, body = body, headers = all, sized = true }
end

local function detail(status, text)
  return answer(status, ("{\"detail\": \"%s\"}"):format(text or REASONS[status] or "Error"))
end

local function oauth_error(status, code, description, headers)
  local text = "{\"error\": \"" .. code .. "\""
  if description then text = text .. ", \"error_description\": \"" .. description .. "\"" end
  return answer(status, text .. "}", headers)
end

-- records -------------------------------------------------------------------------------------------------------------

local function kind_of(path)
  if TOKEN_PATHS[path] then return "token" end
  return path:sub(1, #PREFIX) == PREFIX and "api" or "other"
end

local function body_of_request()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if body then return body end
  local name = ngx.req.get_body_file()
  local file = name and io.open(name, "rb")
  if not file then return nil end
  body = file:read("*a")
  file:close()
  return body
end

local function record()
  local var = ngx.var
  local path = var.uri
  local kind = kind_of(path)
  local body = body_of_request()
  request_total = request_total + 1
  local entry = {
    number = request_total,
    kind = kind,
    method = ngx.req.get_method(),
    uri = var.request_uri,
    path = path,
    request_line = var.request,
    headers = setmetatable(ngx.req.get_headers(0), nil),
    body = body and body:sub(1, KEEP_BODY),
    protocol = var.server_protocol,
    connection = tonumber(var.connection),
    scheme = var.scheme,
    port = tonumber(var.server_port),
    time = ngx.now(),
    sent = 0,
    done = false,
  }
  if entry.scheme == "https" then
    entry.tls = var.ssl_protocol
    entry.client_cert = var.ssl_client_verify == "SUCCESS" and var.ssl_client_s_dn or nil
  end
  requests[(request_total - 1) % KEEP_REQUESTS + 1] = entry
  counts[kind] = counts[kind] + 1
  if not counts.seen_connections[entry.connection] then
    counts.seen_connections[entry.connection] = true
    counts.connections = counts.connections + 1
  end
  local in_flight = counts.in_flight[kind] + 1
  counts.in_flight[kind] = in_flight
  if in_flight > counts.max_in_flight[kind] then counts.max_in_flight[kind] = in_flight end
  ngx.ctx.entry, ngx.ctx.counts = entry, counts
  return entry, body
end

function api.log()
  local entry, at = ngx.ctx.entry, ngx.ctx.counts
  if not entry then return end
  entry.status = entry.status or ngx.status
  entry.bytes = tonumber(ngx.var.bytes_sent)
  entry.seconds = tonumber(ngx.var.request_time)
  entry.done = true
  at.in_flight[entry.kind] = at.in_flight[entry.kind] - 1
  local status = ("%d"):format(entry.status)
  at.statuses[status] = (at.statuses[status] or 0) + 1
end

-- token endpoint ------------------------------------------------------------------------------------------------------

local function encoding_refused()
  local how = config.encoding_refusal
  if how == "ninja_422" then
    return answer(422,
      "{\"detail\": [{\"type\": \"missing\", \"loc\": [\"body\", \"grant_type\"], \"msg\": \"Field required\"}]}")
  elseif how == "ninja_400" then
    return detail(400, "Cannot parse request body")
  elseif how == "415" then
    return detail(415)
  elseif how == "dot" then
    return oauth_error(400, "unsupported_grant_type")
  end
  return oauth_error(400, "invalid_request", "Missing grant_type parameter.")
end

local CHALLENGE = { ["WWW-Authenticate"] = "Basic realm=\"partners\"" }

local function client_refused(wrong_way)
  if config.client_refusal == "unauthorized" then return detail(401) end
  if config.client_refusal == "invalid_request" and wrong_way then
    return oauth_error(400, "invalid_request", "Missing client_id parameter.")
  end
  return oauth_error(401, "invalid_client", nil, CHALLENGE)
end

local function form_decode(text)
  return ngx.unescape_uri((text:gsub("%+", " ")))
end

--- The client of a Basic header (RFC 6749 2.3.1), or nil.
local function basic_client(header)
  local encoded = type(header) == "string" and header:match("^[Bb][Aa][Ss][Ii][Cc]%s+(%S+)%s*$")
  local pair = encoded and ngx.decode_base64(encoded)
  local id, secret = (pair or ""):match("^([^:]*):(.*)$")
  if not id then return nil end
  if not config.basic_decode then return { id = id, secret = secret } end
  return { id = form_decode(id), secret = form_decode(secret) }
end

--- The request's parameters as strings, and its encoding ("form", "json" or nil); a third value is a refusal.
local function token_parameters(headers, body)
  local media = tostring(headers["content-type"] or ""):lower():match("^%s*([^;%s]*)")
  local raw, encoding
  if media == "application/json" then
    encoding, raw = "json", cjson.decode(body or "")
    if type(raw) ~= "table" then return {}, encoding, detail(400, "Cannot parse request body") end
  elseif media == "application/x-www-form-urlencoded" then
    encoding, raw = "form", ngx.decode_args(body or "", 0)
  end
  local parameters, wrong = {}, nil
  for name, value in pairs(raw or {}) do
    if type(value) == "string" then
      parameters[name] = value
    elseif value ~= cjson.null then
      wrong = answer(422, ("{\"detail\": [{\"type\": \"string_type\", \"loc\": [\"body\", %s], \"msg\": "):format(
        cjson.encode(tostring(name))) .. "\"Input should be a valid string\"}]}")
    end
  end
  return parameters, encoding, wrong
end

local function lifetime()
  if config.token_lifetime then return config.token_lifetime end
  return tonumber((config.expires_in:gsub("\"", ""))) or 36000
end

local function issue(scope)
  issued = issued + 1
  local access = ("tok-%d-%08x"):format(issued, math.random(0, 2147483647))
  tokens[access] = ngx.now() + lifetime()
  if config.token_raw then return answer(200, config.token_raw) end
  local text = ("{\"access_token\": \"%s\""):format(access)
  if config.expires_in ~= "none" then text = text .. ", \"expires_in\": " .. config.expires_in end
  text = text .. ", \"token_type\": \"Bearer\", \"scope\": " .. cjson.encode(scope or "read write")
  if config.refresh then
    local refresh = ("ref-%d-%08x"):format(issued, math.random(0, 2147483647))
    refresh_tokens[refresh] = true
    text = text .. (", \"refresh_token\": \"%s\""):format(refresh)
  end
  if config.token_extra ~= "" then text = text .. ", " .. config.token_extra end
  return answer(200, text .. "}", { ["Cache-Control"] = "no-store", ["Pragma"] = "no-cache" })
end

local function grant_allowed(grant)
  for _, name in ipairs(config.grants) do
    if name == grant then return true end
  end
  return false
end

--- Checks who the client says it is; returns whether a client is there, or nil and a refusal.
local function authenticate_client(entry, headers, parameters)
  local basic = basic_client(headers.authorization)
  local in_body = parameters.client_id ~= nil or parameters.client_secret ~= nil
  local how = "none"
  if headers.authorization and parameters.client_secret then
    how = "both"
  elseif headers.authorization then
    how = "basic"
  elseif in_body then
    how = "body"
  end
  entry.client_auth = how
  if how == "both" then
    return nil, oauth_error(400, "invalid_request", "Only one way of client authentication may be used.")
  elseif how == "none" then
    return false
  elseif config.client_auth ~= "both" and config.client_auth ~= how then
    return nil, client_refused(true)
  end
  local client = basic or { id = parameters.client_id, secret = parameters.client_secret }
  entry.client_id = client.id
  if how == "basic" and not basic or client.id ~= config.client_id or client.secret ~= config.client_secret then
    return nil, client_refused(false)
  end
  return true
end

local function grant_refused()
  if config.grant_refusal == "ninja_422" then
    return answer(422, "{\"detail\": [{\"type\": \"literal_error\", \"loc\": [\"body\", \"grant_type\"], \"msg\": "
      .. "\"Input should be 'password' or 'refresh_token'\"}]}")
  end
  return oauth_error(400, "unsupported_grant_type")
end

local function answer_token(entry, body)
  if entry.method ~= "POST" then return detail(405, "Method not allowed") end
  local parameters, encoding, wrong = token_parameters(entry.headers, body)
  local grant = parameters.grant_type
  entry.encoding, entry.grant = encoding or "none", grant
  local name = grant or "none"
  counts.tokens_by_grant[name] = (counts.tokens_by_grant[name] or 0) + 1
  if not encoding or config.encoding ~= "both" and config.encoding ~= encoding then return encoding_refused() end
  if wrong then return wrong end
  -- Django Ninja checks the body before anything else.
  if config.grant_refusal == "ninja_422" and grant and not grant_allowed(grant) then return grant_refused() end
  local has_client, refusal = authenticate_client(entry, entry.headers, parameters)
  if refusal then return refusal end
  if not grant then return oauth_error(400, "invalid_request", "Missing grant_type parameter.") end
  if not grant_allowed(grant) then return grant_refused() end
  if not has_client and (config.client_required or grant == "client_credentials") then return client_refused(true) end
  if grant == "password" then
    if parameters.username ~= config.username or parameters.password ~= config.password then
      return oauth_error(400, "invalid_grant", "Invalid credentials given.")
    end
  elseif grant == "refresh_token" then
    local known = parameters.refresh_token
    if not known or not refresh_tokens[known] then return oauth_error(400, "invalid_grant") end
    refresh_tokens[known] = nil
  end
  return issue(parameters.scope)
end

--- The answer of the token endpoint that was asked, with the configuration that it has.
local function token(entry, body)
  local common = config
  config = setmetatable(common.endpoints[entry.path] or {}, { __index = common })
  local reply = answer_token(entry, body)
  config = common
  return reply
end

-- users and the rest of the API ---------------------------------------------------------------------------------------

local function authorized(headers)
  local header = headers.authorization
  local access = type(header) == "string" and header:match("^[Bb]earer (%S+)$")
  if not access then return false end
  local expires = tokens[access]
  if expires then return ngx.now() < expires end
  for _, accepted in ipairs(config.accept_tokens) do
    if access == accepted then return true end
  end
  return false
end

local BOOLEANS = {
  ["true"] = true, ["1"] = true, yes = true, on = true, t = true, y = true,
  ["false"] = false, ["0"] = false, no = false, off = false, f = false, n = false,
}

local lists, lists_bytes = {}, 0

--- The text of a list, or nil where it is too large to keep.
local function kept_list(seed, n, include_deleted, org_id, extra)
  if n * 700 > LARGEST_KEPT_LIST then return nil end
  local key = table.concat({ seed, n, tostring(include_deleted), org_id, extra or "" }, "|")
  local text = lists[key]
  if not text then
    text = users.list_json(seed, n, include_deleted, { org_id = org_id, extra = extra })
    if lists_bytes + #text > LIST_CACHE then lists, lists_bytes = {}, 0 end
    lists[key], lists_bytes = text, lists_bytes + #text
  end
  return text
end

local function list_users(org_id)
  local bare = org_id:gsub("-", "")
  if not org_id:match(UUID) and not (bare == org_id and org_id:match("^" .. ("%x"):rep(32) .. "$")) then
    local reason = "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-]"
    return answer(422, ("{\"detail\": [{\"type\": \"uuid_parsing\", \"loc\": [\"path\", \"org_id\"], \"msg\": "
      .. "\"Input should be a valid UUID, %s\", \"ctx\": {\"error\": \"%s\"}}]}"):format(reason, reason))
  end
  local include_deleted = false
  local given = ngx.req.get_uri_args(0).include_deleted
  if type(given) == "table" then given = given[#given] end
  if given ~= nil then
    include_deleted = BOOLEANS[tostring(given):lower()]
    if include_deleted == nil or given == true then
      return answer(422, "{\"detail\": [{\"type\": \"bool_parsing\", \"loc\": [\"query\", \"include_deleted\"], "
        .. "\"msg\": \"Input should be a valid boolean, unable to interpret input\"}]}")
    end
  end
  org_id = org_id:lower()
  if bare == org_id then org_id = org_id:gsub("^(%x%x%x%x%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x%x%x%x)", "%1-%2-%3-%4-") end
  local organization = config.organizations[org_id] or {}
  if organization.status then return detail(organization.status) end
  if organization.raw then return answer(200, organization.raw) end
  local n = organization.users or config.default_users
  local seed = organization.seed or tonumber(org_id:sub(1, 6), 16)
  local extra = organization.extra
  local text = kept_list(seed, n, include_deleted, org_id, extra)
  local reply = answer(200, text)
  reply.sized = config.content_length
  if not text then
    reply.pieces = function()
      return users.pieces(seed, n, include_deleted, { org_id = org_id, extra = extra })
    end
  end
  return reply
end

local function echo(entry)
  return answer(200, cjson.encode {
    method = entry.method, path = entry.path, query = ngx.req.get_uri_args(0), headers = entry.headers,
  })
end

local function configured(path)
  local page = config.paths[path]
  if not page then return nil end
  local reply = answer(page.status or 200, page.body or "", page.headers)
  if page.content_type then reply.headers["Content-Type"] = page.content_type end
  return reply
end

local function resource(entry)
  if entry.kind == "other" then return configured(entry.path) or detail(404) end
  if not authorized(entry.headers) then return detail(401) end
  local reply = configured(entry.method .. " " .. entry.path) or configured(entry.path)
  if reply then return reply end
  local org_id = entry.path:match("^/api/partners/v2%.0/org/([^/]+)/users$")
  local is_echo = entry.path == "/api/partners/v2.0/echo"
  if (org_id or is_echo) and entry.method ~= "GET" then return detail(405, "Method not allowed") end
  if org_id then return list_users(org_id) end
  return is_echo and echo(entry) or detail(404)
end

-- sending -------------------------------------------------------------------------------------------------------------

local function send_head(reply)
  ngx.status = reply.status
  for name, value in pairs(reply.headers) do ngx.header[name] = value end
end

local function total_size(reply)
  if reply.body then return #reply.body end
  local size = 0
  for piece in reply.pieces() do size = size + #piece end
  return size
end

local function send(reply, entry)
  send_head(reply)
  if reply.sized then ngx.header["Content-Length"] = total_size(reply) end
  if reply.body then
    entry.sent = #reply.body
    ngx.print(reply.body)
    return
  end
  local count = 0
  for piece in reply.pieces() do
    -- Waiting for each piece to be written limits the memory used: a client that reads slowly slows this loop down.
    if not ngx.print(piece) or not ngx.flush(true) then return end
    entry.sent = entry.sent + #piece
    count = count + 1
    -- With a fast client `flush` never waits. This lets other requests run.
    if count % 64 == 0 then ngx.sleep(0.001) end
  end
end

-- faults --------------------------------------------------------------------------------------------------------------
-- Arguments of each: the normal response, the step and the request's record. A fault that needs bytes that nginx would
-- not send writes to the client's socket itself. HTTP/2 has no such socket, and gets the most similar fault.

--- Ends the connection (HTTP/2: the stream) without another byte.
local function hang_up()
  return ngx.exit(444)
end

local function reset_connection()
  net.reset(ngx.var.remote_port, ngx.var.server_port)
  return hang_up()
end

local function is_http2()
  return ngx.req.http_version() >= 2
end

--- The client's socket for bytes of our own; can be had once a request. nil over HTTP/2.
local function raw_socket()
  return not is_http2() and ngx.req.socket(true) or nil
end

--- The answer's body as one text; of a long stream only as much as a fault can want.
local function text_of(reply, step)
  if reply.body then return reply.body, #reply.body end
  local wanted, parts, size = math.max(step.after or 0, 262144), {}, 0
  for piece in reply.pieces() do
    parts[#parts + 1] = piece
    size = size + #piece
    if size >= wanted then break end
  end
  return table.concat(parts), total_size(reply)
end

--- The part of the body that goes out before the fault: `after` bytes of it, or half.
local function first_part(reply, step)
  local text, size = text_of(reply, step)
  return text:sub(1, step.after or math.floor(#text / 2)), size
end

local function raw_head(reply, more)
  local lines = { ("HTTP/1.1 %d %s"):format(reply.status, REASONS[reply.status] or "Status") }
  for name, value in pairs(reply.headers) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      lines[#lines + 1] = name .. ": " .. tostring(one)
    end
  end
  for _, line in ipairs(more or {}) do lines[#lines + 1] = line end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

--- Sends `text` past nginx, or over HTTP/2 the head and `part` as a stream that stays open; then hangs up.
local function send_raw(reply, entry, part, text)
  local socket = raw_socket()
  entry.sent = #part
  entry.status = reply.status
  if socket then
    socket:send(text)
  else
    send_head(reply)
    ngx.print(part)
    ngx.flush(true)
  end
end

-- Time for the client to read what was sent before a reset, which otherwise could be processed first.
local BEFORE_RESET = 0.05

function faults.close()
  return hang_up()
end

function faults.reset()
  return reset_connection()
end

function faults.reset_in_headers(reply)
  local socket = raw_socket()
  if socket then
    socket:send(raw_head(reply):sub(1, 40))
    ngx.sleep(BEFORE_RESET)
  end
  return reset_connection()
end

function faults.reset_in_body(reply, step, entry)
  local part, size = first_part(reply, step)
  send_raw(reply, entry, part, raw_head(reply, { ("Content-Length: %d"):format(size) }) .. part)
  ngx.sleep(BEFORE_RESET)
  return reset_connection()
end

function faults.truncate(reply, step, entry)
  local part, size = first_part(reply, step)
  send_raw(reply, entry, part, raw_head(reply, { ("Content-Length: %d"):format(size) }) .. part)
  return hang_up()
end

function faults.truncate_chunked(reply, step, entry)
  local part = first_part(reply, step)
  send_raw(reply, entry, part,
    raw_head(reply, { "Transfer-Encoding: chunked" }) .. ("%x\r\n%s\r\n"):format(#part, part))
  return hang_up()
end

function faults.truncate_json_close(reply, step, entry)
  local part = first_part(reply, step)
  send_raw(reply, entry, part, raw_head(reply, { "Connection: close" }) .. part)
  return hang_up()
end

function faults.close_after(reply, step, entry)
  local text = text_of(reply, step)
  if is_http2() then return send(reply, entry) end
  send_raw(reply, entry, text,
    raw_head(reply, { ("Content-Length: %d"):format(#text), "Connection: keep-alive" }) .. text)
  return hang_up()
end

function faults.stall(reply, step, entry)
  local part = first_part(reply, step)
  send_head(reply)
  entry.sent = #part
  if part == "" then ngx.send_headers() else ngx.print(part) end
  ngx.flush(true)
  local gone = false
  ngx.on_abort(function() gone = true end)
  local remote, server, at = ngx.var.remote_port, ngx.var.server_port, counts
  local ends = ngx.now() + (step.seconds or 60)
  -- A reset of the records ends the silence, too, since the test that asked for it has ended.
  while not gone and ngx.now() < ends and at == counts and net.is_connected(remote, server) do
    ngx.sleep(0.05)
  end
  return hang_up()
end

function faults.drip(reply, step, entry)
  local text = text_of(reply, step)
  send_head(reply)
  if reply.sized then ngx.header["Content-Length"] = #text end
  local at, chunk, position = counts, step.chunk or 1, 1
  local size = step.after or chunk
  while position <= #text and at == counts do
    if not ngx.print(text:sub(position, position + size - 1)) or not ngx.flush(true) then return end
    position = position + size
    entry.sent = math.min(position - 1, #text)
    size = chunk
    ngx.sleep(step.interval or 0.1)
  end
end

function faults.big_headers(reply, step, entry)
  local bytes = step.bytes or 102400
  for i = 1, math.ceil(bytes / 1024) do
    reply.headers[("X-Filler-%03d"):format(i)] = ("x"):rep(1008)
  end
  -- With its length known: libcurl 7.88 can miss the end of an HTTP/2 stream that comes in one go with much else.
  reply.sized = true
  return send(reply, entry)
end

function faults.garbage()
  local socket = raw_socket()
  if socket then socket:send("\1\2\3 this is not HTTP \255\254\r\n\r\n" .. ("?"):rep(200)) end
  return hang_up()
end

function faults.informational(reply, step, entry)
  local text = text_of(reply, step)
  if is_http2() then return send(reply, entry) end
  send_raw(reply, entry, text, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    .. raw_head(reply, { ("Content-Length: %d"):format(#text), "Connection: close" }) .. text)
  return hang_up()
end

function faults.bad_gzip(reply, _, entry)
  reply.headers["Content-Encoding"] = "gzip"
  -- A good header, then a block of the type that deflate reserves.
  reply.body, reply.pieces, reply.sized = "\31\139\8\0\0\0\0\0\0\3" .. ("\255"):rep(64), nil, true
  return send(reply, entry)
end

function faults.gzip_bomb(reply, step, entry)
  reply.headers["Content-Encoding"] = "gzip"
  reply.body, reply.pieces, reply.sized = net.gzip_bomb(step.bytes or 1073741824), nil, true
  return send(reply, entry)
end

-- requests ------------------------------------------------------------------------------------------------------------

local function next_step(kind)
  local queue = scripts[kind]
  local step = queue and queue[queue.next]
  if step then
    queue.next = queue.next + 1
    return step
  end
  return config["always_" .. kind] or nil
end

local function revoke()
  tokens = {}
end

function api.handle()
  local entry, body = record()
  local endpoint = config.endpoints[entry.path]
  local step = next_step(entry.kind) or endpoint and endpoint.always or {}
  if step.delay then ngx.sleep(step.delay) end
  if step.revoke then revoke() end
  local reply
  if step.status or step.body then
    local status = step.status or 200
    reply = step.body and answer(status, step.body) or status >= 300 and detail(status) or answer(status, "{}")
  elseif config.require_client_cert and not entry.client_cert then
    reply = detail(403, "Client certificate required")
  elseif entry.kind == "token" then
    reply = token(entry, body)
  else
    reply = resource(entry)
  end
  for name, value in pairs(step.headers or {}) do reply.headers[name] = value end
  if step.content_type then reply.headers["Content-Type"] = step.content_type end
  if not config.gzip then ngx.req.clear_header("Accept-Encoding") end
  if step.fault then return faults[step.fault](reply, step, entry) end
  return send(reply, entry)
end

-- control API ---------------------------------------------------------------------------------------------------------

local controls = {}

function controls.ready()
  return { pid = net.pid() }
end

function controls.reset()
  reset()
  return {}
end

function controls.configure(given)
  local problem = configure(given, DEFAULTS)
  if problem then return nil, problem end
  return {}
end

function controls.patch(given)
  local problem = configure(given, config)
  if problem then return nil, problem end
  return {}
end

function controls.revoke()
  revoke()
  return {}
end

function controls.received()
  local list = {}
  for number = math.max(1, request_total - KEEP_REQUESTS + 1), request_total do
    list[#list + 1] = requests[(number - 1) % KEEP_REQUESTS + 1]
  end
  local shown = {}
  for name, value in pairs(counts) do
    if name ~= "seen_connections" then shown[name] = value end
  end
  return { requests = list, counts = shown }
end

function api.control()
  local name = ngx.var.uri:sub(2)
  local act = controls[name]
  if not act then return ngx.exit(404) end
  local body = body_of_request()
  local given, problem = {}, nil
  if body and body ~= "" then given, problem = cjson.decode(body) end
  local result
  if type(given) == "table" then result, problem = act(given) end
  if not result then
    ngx.status = 400
    ngx.print(problem or "not a JSON object")
    return
  end
  ngx.print(cjson.encode(result))
end

--- Called once at start. When the process that started the server is gone, the server ends and leaves nothing behind.
function api.start(owner_pid, owner_start)
  math.randomseed(ngx.now() * 1000 + net.pid())
  reset()
  local folder = ngx.config.prefix()
  local function watch()
    if net.is_running(owner_pid, owner_start) then return end
    os.execute("rm -rf '" .. folder:gsub("'", "'\\''") .. "'")
    net.terminate()
  end
  assert(ngx.timer.every(1, watch))
end

return api
