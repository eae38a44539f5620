--- Network faults as data, and a function that tries one with a client. Used by the specs of faults and of secrets. The
-- server is spec.support.peer.

local cjson = require "cjson"
local mime = require "mime"
local mock = require "spec.support.mock"
local podero = require "podero"
local socket = require "socket"
local users = require "spec.support.mock.users"
local versions = require "spec.support.versions"

local faults = {}

-- secrets -------------------------------------------------------------------------------------------------------------

-- Each begins with as many letters as free may overwrite with its own data, followed by the mark, which no encoding
-- changes, and characters that encodings do change.
local MARK = "Zq7"
local function secret(name, rest)
  return ("%-40s"):format(name):gsub(" ", "x") .. MARK .. rest
end

faults.secrets = {
  client_secret = secret("secret", "+/= \"%\\é"), password = secret("password", "&\"\\ü+"),
  access_token = secret("access", "-._~+/="), refresh_token = secret("refresh", "\"/+\\"),
}
faults.credentials = {
  client_id = "fault-client", client_secret = faults.secrets.client_secret, username = "ada@example.com",
  password = faults.secrets.password,
}
local CREDENTIALS = faults.credentials

local function form_encoded(text)
  return (text:gsub("[^%w*._-]", function(c) return c == " " and "+" or ("%%%02X"):format(c:byte()) end))
end

local function json_escaped(text)
  return (text:gsub("[\"\\]", "\\%0"))
end

--- The secrets, as they are and in all encodings in which they are sent, by name.
faults.forms = {
  ["Basic credentials"] = mime.b64(CREDENTIALS.client_id .. ":" .. form_encoded(CREDENTIALS.client_secret)),
}
for name, text in pairs(faults.secrets) do
  faults.forms[name] = text
  faults.forms[name .. ", form-encoded"] = form_encoded(text)
  faults.forms[name .. ", in JSON"] = json_escaped(text)
  faults.forms[name .. ", in base64"] = mime.b64(text)
end

--- Texts that must not occur in anything that the module returns. The mark covers all encodings that keep letters.
faults.telltales = { MARK }
for _, text in pairs(faults.forms) do
  if not text:find(MARK, 1, true) then table.insert(faults.telltales, text) end
end

-- responses -----------------------------------------------------------------------------------------------------------

local USERS = users.list_json(7, 3)
local TOKEN = cjson.encode { access_token = faults.secrets.access_token, refresh_token = faults.secrets.refresh_token,
  token_type = "Bearer", expires_in = 3600 }
local JSON = { ["Content-Type"] = "application/json" }
local HALF = USERS:sub(1, math.floor(#USERS / 2))

local function respond(status, body, headers)
  return { "respond", status, headers or JSON, body or "" }
end

local function send(...)
  return { "send", table.concat({ ... }, "\r\n") }
end

--- Sends the head of a response: status line, header fields and an empty line.
local function head(...)
  return send("HTTP/1.1 200 OK", "Content-Type: application/json", ..., "", "")
end

local function after(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(socket.gettime()) + seconds)
end

local CLOSE, RESET, STALL = { "close" }, { "reset" }, { "stall" }

-- the list ------------------------------------------------------------------------------------------------------------
--
-- A fault has a `name`, and
--   acts                 how the server treats the request: a list, or a function that returns one and is given the URL
--                        of another server, which must not receive anything; or
--   responses            the acts for each of several requests
--   accept, state, tls   settings of the listener, see peer.listen; `scheme`, if the client's URL has another one
--   recovers             settings of the listener for the good call that follows
--   options              of the client
--   good                 true if the call succeeds nevertheless; otherwise, of the expected error:
--   kind, status, retryable, retry_after, delivered, and `message`, a part of its message
--   waits                true if the call ends only at its timeout; `at_least`: seconds that it takes
--   timeout              of the client, if the usual one is too short
--   requests             API requests that the server receives (1); `token_requests`: token requests (1)
--   methods              true if it is tried with each_user and get, too; the keys `each_user` and `get` have what
--                        differs then
--   token                what differs if the token endpoint has the fault

--- Faults of responses of both endpoints.
faults.responses = {
  { name = "reset before the header", acts = { RESET }, kind = "network", retryable = true },
  { name = "closed before the header", acts = { CLOSE }, kind = "network", retryable = true },
  { name = "reset inside the status line", acts = { send "HTTP/1.1 2", RESET }, kind = "network", retryable = true },
  { name = "reset inside the header", acts = { send("HTTP/1.1 200 OK", "Content-Ty"), RESET }, kind = "network",
    retryable = true },
  { name = "closed inside the header", acts = { send("HTTP/1.1 200 OK", "Content-Ty"), CLOSE }, kind = "network",
    retryable = true },
  { name = "closed between two header fields", kind = "network", retryable = true,
    acts = { send("HTTP/1.1 200 OK", "Content-Type: text/plain", ""), CLOSE } },
  { name = "reset in the body", acts = { head("Content-Length: " .. #USERS), { "send", HALF }, RESET },
    kind = "network", retryable = true, methods = true, each_user = { delivered = 1 } },
  { name = "shorter than its Content-Length", acts = { head("Content-Length: " .. #USERS), { "send", HALF }, CLOSE },
    kind = "decode", retryable = true, methods = true, each_user = { delivered = 1 } },
  { name = "without a byte of its Content-Length", acts = { head("Content-Length: 100"), CLOSE }, kind = "decode",
    retryable = true },
  { name = "chunked without an end", kind = "decode", retryable = true, methods = true, each_user = { delivered = 1 },
    acts = { head "Transfer-Encoding: chunked", { "send", ("%x\r\n%s\r\n"):format(#HALF, HALF) }, CLOSE } },
  { name = "chunked, and cut inside a chunk", kind = "decode", retryable = true,
    acts = { head "Transfer-Encoding: chunked", { "send", "fff\r\n" .. HALF }, CLOSE } },
  { name = "with a chunk without a size", kind = "network", retryable = true,
    acts = { head "Transfer-Encoding: chunked", { "send", "zz\r\n" }, STALL } },
  { name = "half a list before the connection is closed", kind = "decode", retryable = true,
    acts = { head "Connection: close", { "send", HALF }, CLOSE },
    token = { kind = "auth", status = 200, retryable = false } },
  { name = "a header that stalls", acts = { send("HTTP/1.1 200 OK", "Conte"), STALL }, kind = "timeout", waits = true },
  { name = "silence", acts = { STALL }, kind = "timeout", waits = true },
  { name = "a body that stalls", acts = { head("Content-Length: " .. #USERS), { "send", HALF }, STALL },
    kind = "timeout", waits = true, methods = true, each_user = { delivered = 1 } },
  { name = "a body that drips", acts = { head("Content-Length: " .. #USERS), { "drip", (" "):rep(1000), 0.02 } },
    kind = "timeout", waits = true, methods = true },
  { name = "a header that drips", acts = { send("HTTP/1.1 200 OK", ""), { "drip", "X: " .. ("x"):rep(1000), 0.02 } },
    kind = "timeout", waits = true },
  { name = "text that is not HTTP", acts = { { "send", "\1\2\3 no HTTP \254\255\r\n\r\n" }, CLOSE }, kind = "network",
    retryable = false },
  { name = "the greeting of another protocol", acts = { send "SSH-2.0-OpenSSH_9.2\r\n", CLOSE }, kind = "network",
    retryable = false },
  { name = "a status line without a number", acts = { send("HTTP/1.1 abc OK", "", ""), CLOSE }, kind = "network" },
  { name = "a negative Content-Length", acts = { head "Content-Length: -5", { "send", USERS }, CLOSE },
    kind = "network" },
  { name = "a Content-Length that is too large for a number",
    acts = { head "Content-Length: 99999999999999999999999", CLOSE },
    kind = "decode", token = { kind = "auth" } },
  { name = "100 KB of header fields", acts = { respond(200, "", (function()
      local headers = {}
      for i = 1, 100 do headers["X-Filler-" .. i] = ("x"):rep(1000) end
      return headers
    end)()) }, kind = "decode", status = 200, token = { kind = "auth", status = 200 } },
  { name = "endless header fields", acts = { send("HTTP/1.1 200 OK", ""),
    { "repeat", "X-Filler: " .. ("x"):rep(990) .. "\r\n", 3000 }, STALL }, kind = "too_large" },
  { name = "an endless header field", acts = { send("HTTP/1.1 200 OK", "X: "),
    { "repeat", ("x"):rep(1000), 3000 }, STALL }, kind = "too_large", retryable = false },
  { name = "endless informational responses", kind = "too_large",
    acts = { { "repeat", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 20000 }, STALL } },
  { name = "a protocol switch", acts = { send("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket",
    "Connection: Upgrade", "", ""), STALL }, kind = "timeout", waits = true },
  { name = "204", acts = { send("HTTP/1.1 204 No Content", "", "") }, kind = "decode", status = 204,
    token = { kind = "auth", status = 204 } },
  { name = "200 with HTML",
    acts = { respond(200, "<!DOCTYPE html><title>Sign in</title>", { ["Content-Type"] = "text/html" }) },
    kind = "decode", status = 200, retryable = false, methods = true, token = { kind = "auth", status = 200 },
    message = "an HTML page" },
  { name = "200 with an empty body", acts = { respond(200, "") }, kind = "decode", status = 200,
    list_users = { message = "empty" }, token = { kind = "auth", status = 200 }, methods = true },
  { name = "200 with null", acts = { respond(200, "null") }, kind = "schema", status = 200,
    token = { kind = "auth", status = 200 } },
  { name = "200 with an object", acts = { respond(200, "{\"detail\": \"x\"}") }, kind = "schema", status = 200,
    token = { kind = "auth", status = 200 } },
  { name = "corrupt gzip", acts = { respond(200, "\31\139\8\0\0\0\0\0\0\3" .. ("\255"):rep(64),
    { ["Content-Encoding"] = "gzip" }) }, kind = "decode", retryable = false, methods = true },
  { name = "a body that is not gzip", acts = { respond(200, USERS, { ["Content-Encoding"] = "gzip" }) },
    kind = "decode",
    retryable = false },
  { name = "corrupt deflate", acts = { respond(200, "\255\254" .. ("\253"):rep(64),
    { ["Content-Encoding"] = "deflate" }) }, kind = "decode" },
  { name = "corrupt br", acts = { respond(200, ("\255"):rep(64), { ["Content-Encoding"] = "br" }) }, kind = "decode" },
  { name = "corrupt zstd", acts = { respond(200, ("\255"):rep(64), { ["Content-Encoding"] = "zstd" }) },
    kind = "decode" },
  { name = "an unknown content coding", acts = { respond(200, USERS, { ["Content-Encoding"] = "rot13" }) },
    kind = "decode" },
  { name = "nested content codings", acts = { respond(200, USERS,
    { ["Content-Encoding"] = ("gzip, "):rep(40) .. "gzip" }) }, kind = "decode" },
  { name = "gzip that is cut short", kind = "decode", token = { kind = "auth" },
    acts = { head("Content-Encoding: gzip", "Connection: close"), { "send", "\31\139\8\0\0\0\0\0\0\3" }, CLOSE } },
  { name = "a gzip bomb", acts = { { "bomb", 10240 } }, kind = "too_large", retryable = false, methods = true,
    options = { max_response_bytes = 4000000 }, timeout = 20 },
  { name = "a gzip bomb in a gzip bomb", acts = { { "bomb", 10240, 2 } }, kind = "decode", retryable = false,
    methods = true },
}

local function error_rows()
  local rows = {}
  local function add(name, status, headers, expected)
    expected.name, expected.status = name, status
    expected.acts = expected.acts or { respond(status, "{\"detail\": \"no\"}", headers) }
    expected.kind, expected.token = "http", { kind = "auth" }
    rows[#rows + 1] = expected
  end
  local year = 365 * 86400
  for _, status in ipairs { 429, 503 } do
    local function retry(name, value, expected)
      add(("%d with a Retry-After %s"):format(status, name), status, { ["Retry-After"] = value }, expected)
    end
    retry("of no time", "0", { retryable = true, retry_after = 0 })
    retry("in seconds", "60", { retryable = true, retry_after = 60 })
    retry("as a date", nil, { retryable = true, retry_after = 3600, acts = function()
      return { respond(status, "", { ["Retry-After"] = after(3600) }) }
    end })
    retry("in the past", after(-3600), { retryable = true, retry_after = 0 })
    retry("of a year", ("%d"):format(year), { retryable = true, retry_after = year, options = { max_retries = 5 } })
    retry("that is negative", "-5", { retryable = true })
    retry("that is rubbish", "next week", { retryable = true })
    retry("that is a fraction", "1.5", { retryable = true })
    retry("beyond all numbers", ("9"):rep(50), { retryable = true, retry_after = year, options = { max_retries = 5 } })
  end
  for _, status in ipairs { 400, 403, 404, 501 } do add(tostring(status), status, nil, { retryable = false }) end
  for _, status in ipairs { 408, 500, 502, 504 } do add(tostring(status), status, nil, { retryable = true }) end
  add("a status that nobody knows", 799, nil, { retryable = false })
  return rows
end
for _, row in ipairs(error_rows()) do table.insert(faults.responses, row) end

for name, location in pairs {
  ["to another host"] = function(other) return other .. "/x" end,
  ["to another host, without a scheme"] = function(other) return other:gsub("^%w+:", "") .. "/x" end,
  ["to itself"] = function() return "" end,
  ["to another path"] = function() return "/login?next=/x#y" end,
  ["to a file"] = function() return "file:///etc/passwd" end,
  ["to what is no URL"] = function() return "ht tp://[::1" end,
  ["with control characters in its target"] = function(other) return other .. "/\27[31m\7\127\194\155x" end,
  ["without a target"] = function() return nil end,
} do
  table.insert(faults.responses, {
    name = "a redirect " .. name, kind = "http", status = 307, retryable = false, message = "redirect",
    acts = function(other) return { respond(307, "moved", { Location = location(other) }) } end,
  })
end


--- Faults of the API only.
faults.api = {
  { name = "401 repeatedly",
    responses = { { respond(401, "{}") }, { respond(401, "{}") } }, kind = "auth", status = 401,
    retryable = false, requests = 2, token_requests = 2, methods = true },
  { name = "401 once", acts = { respond(401, "{}") }, good = true, requests = 2, token_requests = 2, methods = true },
  { name = "500 twice", responses = { { respond(500) }, { respond(500) } }, good = true, requests = 3,
    options = { max_retries = 2 } },
  { name = "500 three times", responses = { { respond(500) }, { respond(500) }, { respond(500) } }, kind = "http",
    status = 500, retryable = true, requests = 3, options = { max_retries = 2 } },
  { name = "503 with a Retry-After of a second, as a date", good = true, requests = 2, options = { max_retries = 1 },
    acts = function() return { respond(503, "", { ["Retry-After"] = after(2) }) } end, at_least = 0.9 },
  { name = "an informational response first", acts = { send("HTTP/1.1 103 Early Hints", "Link: </x>", "", ""),
    respond(200, USERS) }, good = true, methods = true },
  { name = "many informational responses first", acts = { { "repeat", "HTTP/1.1 102 Processing\r\n\r\n", 50 },
    respond(200, USERS) }, good = true },
  { name = "100 KB of header fields, and a list", acts = { send("HTTP/1.1 200 OK", ""),
    { "repeat", "X-Filler: " .. ("x"):rep(990) .. "\r\n", 100 },
    send("Content-Length: " .. #USERS, "", USERS) }, good = true },
  { name = "a list that ends with the connection", acts = { send("HTTP/1.0 200 OK", "", USERS), CLOSE }, good = true },
  { name = "a list in chunks of one byte", acts = { head "Transfer-Encoding: chunked",
    { "send", (USERS:gsub(".", "1\r\n%0\r\n")) }, send("0", "X-Trailer: x", "", "") }, good = true },
  { name = "200 with a list inside an object", acts = { respond(200, "{\"items\": []}") }, kind = "schema" },
  { name = "200 with a list of lists", acts = { respond(200, "[[]]") }, kind = "schema" },
  { name = "200 with half a user", acts = { respond(200, "[{\"id\": \"x\"}]") }, kind = "schema" },
  { name = "200 with text after the list", acts = { respond(200, USERS .. "x") }, kind = "decode" },
  { name = "a redirect from HTTP to a list", acts = { respond(302, USERS, { Location = "/x" }) }, kind = "http",
    status = 302 },
}

--- Returns the JSON text of a token response with these members.
function faults.token_response(members)
  local all = { access_token = faults.secrets.access_token, token_type = "Bearer" }
  for name, value in pairs(members) do all[name] = value end
  return cjson.encode(all)
end

local function token_response(members)
  return { respond(200, faults.token_response(members)) }
end

--- Faults of the token endpoint only, and odd token responses that are accepted.
faults.tokens = {
  { name = "a token of 64 KB", acts = token_response { access_token = MARK .. ("x"):rep(65533) }, good = true },
  { name = "a token of 1 MB", acts = token_response { access_token = MARK .. ("x"):rep(1100000) }, kind = "too_large",
    retryable = false },
  { name = "an empty token", acts = token_response { access_token = "" }, kind = "auth", status = 200 },
  { name = "a token with a line break", acts = token_response { access_token = MARK .. "\r\nX-Injected: yes" },
    kind = "auth", status = 200 },
  { name = "a token with a line feed at its end", acts = token_response { access_token = MARK .. "\n" }, kind = "auth",
    status = 200 },
  { name = "a token with a NUL", acts = token_response { access_token = MARK .. "\0x" }, kind = "auth", status = 200 },
  { name = "a token with a space", acts = token_response { access_token = MARK .. " x" }, kind = "auth", status = 200 },
  { name = "a token of another type", acts = token_response { token_type = "mac" }, kind = "auth", status = 200 },
  { name = "no token", acts = { respond(200, "{\"token_type\": \"Bearer\"}") }, kind = "auth", status = 200 },
  { name = "half a token response before the connection is closed", acts = { head "Connection: close",
    { "send", TOKEN:sub(1, -10) }, CLOSE }, kind = "auth", status = 200, retryable = true },
  { name = "an error with status 200", acts = token_response { error = "server_error" }, kind = "auth", status = 200 },
  { name = "a token that has expired", acts = token_response { expires_in = 0 }, good = true },
  { name = "a token that has expired long ago", acts = token_response { expires_in = -1e300 }, good = true },
  { name = "a token that expires in 1e300 seconds", acts = token_response { expires_in = 1e300 }, good = true },
  { name = "a refresh token with a line break", acts = token_response { refresh_token = MARK .. "\r\nx: y" },
    good = true },
  { name = "invalid_client", acts = { respond(401, "{\"error\": \"invalid_client\"}") }, kind = "auth", status = 401,
    retryable = false },
  { name = "invalid_grant", acts = { respond(400, "{\"error\": \"invalid_grant\"}") }, kind = "auth", status = 400,
    retryable = false },
  { name = "a response that is nested too deeply", acts = { respond(200, ("["):rep(100000)) }, kind = "auth" },
}

--- Responses of both endpoints that repeat the request with its secrets.
faults.echoes = {}
for _, status in ipairs { 302, 400, 403, 500 } do
  for _, form in ipairs { "json", "text" } do
    table.insert(faults.echoes, { name = ("a %d that repeats the request as %s"):format(status, form), kind = "http",
      status = status, acts = { { "echo", status, form } }, token = { kind = status == 302 and "http" or "auth" } })
  end
end

local GOOD_TLS = { certificate = "server" }

--- Faults of connections, before any request.
faults.connections = {
  { name = "refused", state = "refusing", kind = "network", retryable = true, recovers = { state = "listening" } },
  { name = "that gets no response",
    state = "deaf", kind = "timeout", retryable = true, recovers = { state = "listening" },
    options = { connect_timeout = 0.2 }, at_least = 0.19 },
  { name = "that gets no response until the call times out", state = "deaf", kind = "timeout", waits = true,
    recovers = { state = "listening" } },
  { name = "closed at once", accept = { { CLOSE } }, kind = "network", retryable = true },
  { name = "reset at once", accept = { { RESET } }, kind = "network", retryable = true },
  { name = "closed in the TLS handshake", tls = GOOD_TLS, accept = { { { "pause", 0.02 }, CLOSE } }, kind = "network",
    retryable = true },
  { name = "reset in the TLS handshake", tls = GOOD_TLS, accept = { { RESET } }, kind = "network", retryable = true },
  { name = "silent in the TLS handshake", tls = GOOD_TLS, accept = { { STALL } }, kind = "timeout", retryable = true,
    options = { connect_timeout = 0.2 }, at_least = 0.19 },
  { name = "silent in the TLS handshake until the call times out", tls = GOOD_TLS, accept = { { STALL } },
    kind = "timeout", waits = true },
  { name = "with garbage in the TLS handshake", tls = GOOD_TLS, accept = { { send "\22\3\3\0\5hello", STALL } },
    kind = "network", retryable = true },
  { name = "with plain text on the TLS port", scheme = "https",
    accept = { { send("HTTP/1.1 400 Bad Request", "", ""), CLOSE } }, kind = "network", retryable = true,
    recovers = { tls = GOOD_TLS } },
  { name = "with TLS on the plain port", scheme = "http", tls = GOOD_TLS, kind = "network",
    recovers = { tls = false } },
  { name = "with TLS 1.1 only", tls = { certificate = "server", version = "1.1" }, kind = "network",
    recovers = { tls = GOOD_TLS } },
}
for name, certificate in pairs {
  ["that nobody has signed"] = "self_signed", ["of another host"] = "wrong_host", ["that has expired"] = "expired",
  ["of a CA that nobody knows"] = "unknown_ca",
} do
  table.insert(faults.connections, { name = "with a certificate " .. name, tls = { certificate = certificate },
    kind = "network", retryable = false, message = "certificate", recovers = { tls = GOOD_TLS } })
end

-- What it is called if a connection over TLS ends in the body, without a close_notify.
local CUT_SHORT = versions.truncated_tls_is_an_error and "network" or "decode"

--- Faults of HTTP over TLS. A complete list is accepted however the connection has ended, as far as libcurl says: JSON
-- has an end of its own.
faults.tls = {
  { name = "a list that ends with the connection, without close_notify",
    good = not versions.truncated_tls_is_an_error, kind = "network", retryable = true,
    acts = { head "Connection: close", { "send", USERS }, CLOSE } },
  { name = "a list that ends with the connection, with close_notify", good = true,
    acts = { head "Connection: close", { "send", USERS }, { "goodbye" } } },
  { name = "half a list before the connection is closed, with close_notify", kind = "decode", retryable = true,
    token = { kind = "auth", retryable = false },
    acts = { head "Connection: close", { "send", HALF }, { "goodbye" } } },
  { name = "reset before the header", acts = { RESET }, kind = "network", retryable = true },
  { name = "shorter than its Content-Length", kind = CUT_SHORT, retryable = true,
    acts = { head("Content-Length: " .. #USERS), { "send", HALF }, CLOSE } },
  { name = "silence", acts = { STALL }, kind = "timeout", waits = true },
}

--- Faults of HTTP/2, of the API alone. Error codes: RFC 9113, section 7.
faults.http2 = {
  { name = "GOAWAY before the request is processed",
    acts = { { "goaway", 0, 0 }, CLOSE }, kind = "network", retryable = true,
    good = versions.repeats_after_goaway, requests = versions.repeats_after_goaway and 2 or 1 },
  { name = "GOAWAY before the response", acts = { { "goaway", 2147483647, 0 }, respond(200, USERS) },
    good = true },
  { name = "GOAWAY with an error", acts = { { "goaway", 0, 11 }, CLOSE }, kind = "network", retryable = true,
    good = versions.repeats_after_failed_goaway, requests = versions.repeats_after_failed_goaway and 2 or 1 },
  { name = "RST_STREAM: refused", acts = { { "rst", 7 } }, good = true, requests = 2 },
  { name = "RST_STREAM: internal error", acts = { { "rst", 2 } }, kind = "network", retryable = true },
  { name = "RST_STREAM in the body", acts = { { "head", 200, {} }, { "data", HALF }, { "rst", 2 } }, kind = "network",
    retryable = true },
  { name = "RST_STREAM without an error in the body", acts = { { "head", 200, {} }, { "data", HALF }, { "rst", 0 } },
    kind = "decode", retryable = true },
  { name = "a stream that ends too early", acts = { { "head", 200, { ["Content-Length"] = tostring(#USERS) } },
    { "data", HALF, true } }, kind = "network", retryable = true },
  { name = "closed in the body", acts = { { "head", 200, {} }, { "data", HALF }, CLOSE }, kind = CUT_SHORT,
    retryable = true },
  { name = "reset in the body", acts = { { "head", 200, {} }, { "data", HALF }, RESET }, kind = "network",
    retryable = true },
  { name = "reset before the header", acts = { RESET }, kind = "network", retryable = true },
  { name = "a frame that is too large", acts = { { "raw", ("\255"):rep(64) }, STALL }, kind = "network" },
  { name = "a header that cannot be decompressed", acts = { { "raw", "\0\0\4\1\4\0\0\0\1\255\255\255\255" }, STALL },
    kind = "network" },
  { name = "many PINGs first", acts = { { "raw", ("\0\0\8\6\0\0\0\0\0pingping"):rep(500) }, respond(200, USERS) },
    good = true },
  { name = "endless SETTINGS", kind = "network",
    acts = { { "raw", ("\0\0\0\4\0\0\0\0\0"):rep(50000) }, STALL } },
  { name = "an endless header", kind = "network", acts = { { "raw", "\0\0\1\1\0\0\0\0\1\136" },
    { "raw", ("\0\4\1\9\0\0\0\0\1\0\1x\127\249\7" .. ("y"):rep(1018)):rep(2000) }, STALL } },
  { name = "silence", acts = { STALL }, kind = "timeout", waits = true },
  { name = "a body that stalls", acts = { { "head", 200, {} }, { "data", HALF }, STALL }, kind = "timeout",
    waits = true },
  { name = "503", acts = { respond(503, "{}", { ["Retry-After"] = "60" }) }, kind = "http", status = 503,
    retry_after = 60, retryable = true },
}

--- Responses of a proxy to CONNECT.
faults.proxies = {
  { name = "407", acts = { respond(407, "", { ["Proxy-Authenticate"] = "Basic realm=\"x\"" }) } },
  { name = "403", acts = { respond(403) } },
  { name = "502", acts = { respond(502) } },
  { name = "a redirect", acts = { respond(302, "", { Location = "https://elsewhere.example/" }) } },
  { name = "text that is not HTTP", acts = { { "send", "\1\2\3\r\n\r\n" }, CLOSE } },
  { name = "closed at once", acts = { CLOSE } },
  { name = "a reset", acts = { RESET } },
  { name = "silence", acts = { STALL }, waits = true },
}

--- Good responses and some acts, for other listeners of a spec.
faults.good = { api = { respond(200, USERS) }, token = { respond(200, TOKEN) } }
faults.CLOSE, faults.RESET, faults.STALL = CLOSE, RESET, STALL

-- trying one with a client --------------------------------------------------------------------------------------------

local LONG, SHORT = 5, 0.25 -- seconds: timeouts that are not reached, and that are reached

local function merged(...)
  local all = {}
  for _, settings in ipairs { ... } do
    for name, value in pairs(settings) do all[name] = value end
  end
  return all
end

--- Opens the listener that has the fault. `other` is the URL of another one.
local function listen(peer, row, at, other)
  local acts = type(row.acts) == "function" and row.acts(other) or row.acts
  return peer:listen {
    state = row.state, accept = row.accept, tls = row.tls, [at] = row.responses or acts and { acts } or {},
    good_api = faults.good.api,
    good_token = { respond(200, TOKEN, { Connection = "close" }) }, -- so that the next request uses a new connection
  }
end

--- Returns the URL that the client gets.
local function url_of(listener, row)
  if not row.scheme then return listener.url end
  return ("%s:%d"):format(row.scheme == "https" and "https://localhost" or "http://127.0.0.1", listener.port)
end

--- Calls a method. Returns the number of users or other elements, or nil and the error.
local function call(client, method, opts)
  if method == "each_user" then
    local count = 0
    local ok, err = pcall(function()
      for _ in client:each_user(mock.ORG, opts) do count = count + 1 end
    end)
    if ok then return count end
    return nil, err
  end
  local result, err
  if method == "get" then
    result, err = client:get("/api/partners/v2.0/org/" .. mock.ORG .. "/users", nil, opts)
  else
    result, err = client:list_users(mock.ORG, opts)
  end
  if not result then return nil, err end
  return #result
end

--- Makes a call with a new client to a server that has a fault, then a good call. `how`:
--   method   "list_users" (the default), "each_user" or "get"
--   at       "api" (the default) or "token": the endpoint that has the fault
--   retries  max_retries of the client (0)
--   tls      setting of the listener
--   static   true if the client has an access token
--   options  further options of the client
-- Returns a table: `count` or `err`, `seconds`, `timeout`, the number of `requests` by kind, and of `connections`;
-- `elsewhere`, the number of connections to the other server; `recovered` or `problem`, the results of the good call;
-- and `seen`, everything that callbacks and errors have contained.
function faults.run(peer, row, how)
  row = merged(row, { tls = how.tls or row.tls or nil })
  local outcome = { seen = {}, requests = { api = 0, token = 0 }, timeout = row.timeout or row.waits and SHORT or LONG }
  local function saw(what) table.insert(outcome.seen, what) end
  local other = peer:listen { tls = row.tls, good_api = faults.good.api, good_token = faults.good.token }
  local listener = listen(peer, row, how.at or "api", other.url)
  local credentials = how.static and { access_token = faults.secrets.access_token } or CREDENTIALS
  local client = assert(podero.new(merged(credentials, {
    base_url = url_of(listener, row), proxy = "", tls = { ca_file = peer.ca_file }, timeout = outcome.timeout,
    max_retries = how.retries or 0, token_encoding = "form", client_auth = "basic", on_event = saw,
    log = function(_, line) saw(line) end,
  }, row.options or {}, how.options or {})))
  saw(tostring(client))
  local opts = { max_response_bytes = row.options and row.options.max_response_bytes }
  if how.method ~= "get" then opts.on_progress = function(...) saw { ... } end end

  local start = socket.gettime()
  outcome.count, outcome.err = call(client, how.method, opts)
  outcome.seconds = socket.gettime() - start
  saw(outcome.err)
  saw(tostring(outcome.err))

  local requests
  requests, outcome.connections = listener:received()
  for _, request in ipairs(requests) do outcome.requests[request.kind] = outcome.requests[request.kind] + 1 end
  outcome.elsewhere = select(2, other:received())
  if row.recovers then listener:set(row.recovers) end
  outcome.recovered, outcome.problem = call(client, nil, { timeout = LONG, max_response_bytes = 1000000 })
  saw(outcome.problem)
  client:close()
  saw(tostring(client))
  listener:close()
  other:close()
  return outcome
end

return faults
