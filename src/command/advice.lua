--- Says what to do about an error of the module: for `podero doctor`.

local options = require "podero.command.options"
local text = require "podero.command.text"

local advice = {}

local PROXY = "If this machine has to use a proxy: --proxy, or the variable https_proxy."

-- Patterns of messages of libcurl and its TLS libraries, in lower case, and what helps. There, %s is where the base URL
-- comes from, and %t the time.
local NETWORK = {
  { { "resolve proxy" },
    "Check the name of the proxy: --proxy, or the variables https_proxy, http_proxy and all_proxy." },
  { { "answered connect with http 407" },
    "The proxy requires a user name and a password, in its URL: http://NAME:PASSWORD@HOST, best in https_proxy." },
  { { "answered connect" },
    "The proxy refuses to connect to this host: check the base URL (%s), and ask whoever runs the proxy." },
  { { "resolve host", "not resolve", "resolving", "name or service" },
    "Check the host in the base URL (%s), and whether this machine has a network and DNS. " .. PROXY },
  { { "has expired", "not yet valid", "not yet activated" },
    "Certificates depend on the clock, which says %t here. If it is right, the server needs a new certificate." },
  { { "subject name", "host name", "hostname", "does not match" },
    "The certificate is for another host: check the base URL (%s)." },
  { { "self.signed", "issuer", "unknown ca", "cafile", "certificate verif", "unable to verify", "not trusted" },
    "The certificate authority of the server is not trusted here. Install the package ca-certificates; or, if it is "
    .. "that of your company or its proxy, give its certificate with --ca-file." },
  { { "wrong version number", "record layer", "packet length", "ssl", "tls" },
    "The server there does not speak TLS as expected: check host and port in the base URL (%s)." },
  { { "connect to", "refused", "unreachable" },
    "Nothing answers there: check host and port in the base URL (%s), and firewalls. " .. PROXY },
}

local function of_network(message, given)
  message = message:lower()
  local _, source = options.base_url(given)
  local proxy, where_from = options.proxy(given)
  local host = proxy and proxy:lower():match("^[^:/]+")
  if host and message:find("connect to", 1, true) and message:find(host, 1, true) then
    return ("The proxy does not answer: check its host and port (%s)."):format(where_from)
  end
  for _, entry in ipairs(NETWORK) do
    for _, pattern in ipairs(entry[1]) do
      if message:find(pattern) then return (entry[2]:gsub("%%(%l)", { s = source, t = text.utc(os.time()) })) end
    end
  end
  return "Check the network, and whether something between here and the server ends connections."
end

-- Codes of errors about credentials (RFC 6749, 5.2).
local CREDENTIALS = { invalid_client = true, invalid_grant = true, unauthorized_client = true }

local SLOW = "The server responds, but too slowly: try again later, or raise --timeout."
local TIMEOUT = "The server did not respond in time: check firewalls. " .. PROXY

local function of_users(err, url)
  if err.status == 403 then
    return "The credentials are right, but may not read this organization: check its id, and ask Podero for access."
  elseif err.status == 404 then
    return ("There is no such organization at %s: check its id. The sandbox and production have different "
      .. "organizations."):format(url)
  elseif err.kind == "schema" then
    return "The list does not match the API's schema: --no-validate accepts it. Please report it."
  end
end

--- Returns a sentence, or nil if the error says everything. `step`: "token" or "users"; `has_answered`: whether the
-- server sent a response before.
function advice.of(err, given, step, has_answered)
  local url, source = options.base_url(given)
  if err.kind == "network" or err.message:find("[Rr]esolv") then return of_network(err.message, given) end
  if err.kind == "timeout" then return has_answered and SLOW or TIMEOUT end
  local of_list = step == "users" and of_users(err, url)
  if of_list then return of_list end
  if err.retryable then
    return ("The server cannot answer now: try again %s."):format(
      err.retry_after and ("in %d s"):format(math.ceil(err.retry_after)) or "later")
  end
  if err.kind == "auth" and (CREDENTIALS[err.code] or (err.code == nil and err.status == 401)) then
    return ("The base URL is %s (%s). Sandbox credentials work only with --sandbox, all others only without it.")
      :format(url, source)
  end
  if err.kind == "decode" and not err.message:find("HTML page", 1, true) then
    return ("This may not be the Partner API: check the base URL (%s)."):format(source)
  end
end

return advice
