-- What each of libcurl's codes means: a row for each code of the table in src/core/http/curl_error.c, and for others
-- that a server, a proxy, TLS files or the environment can cause. A preloaded library prints the code of each transfer,
-- and can replace it by a code that cannot be caused here.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local podero = require "podero"
local preload = require "spec.support.preload"
local process = require "spec.support.process"
local versions = require "spec.support.versions"

-- A sanitizer has to be the first library.
local CAN_PRELOAD = os.getenv "VARIANT" ~= "-sanitized"

--- Prints the code of each transfer. REPORT replaces the first code, and SLOW delays each send by so many milliseconds.
local LIBRARY = [[
#define _GNU_SOURCE
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
  const char *slow = getenv("SLOW");
  if (slow != NULL) usleep(1000 * (useconds_t)atoi(slow));
  return ((ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send"))(fd, bytes, size, flags);
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *left) {
  static CURLMsg *(*next)(CURLM *, int *);
  static const char *report;
  if (next == NULL) {
    const char *names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib"};
    void *library = NULL;
    for (int i = 0; i < 3 && library == NULL; i++)
      library = dlopen(names[i], RTLD_LAZY | RTLD_NOLOAD);
    if (library != NULL) *(void **)&next = dlsym(library, "curl_multi_info_read");
    if (next == NULL) abort();
    report = getenv("REPORT");
  }
  CURLMsg *message = next(multi, left);
  if (message == NULL || message->msg != CURLMSG_DONE) return message;
  if (report != NULL) message->data.result = (CURLcode)atoi(report);
  report = NULL;
  printf("code %d\n", (int)message->data.result);
  return message;
}
]]

local TLS = { certificate = "server" }

--- The fault of this name in one of the lists of spec/support/faults.lua.
local function fault(list, name)
  for _, row in ipairs(faults[list]) do
    if row.name == name then return row end
  end
  error("there is no fault " .. name)
end

--- A fault that can be put to a client, as a cause of a code.
local function caused_by(list, name, words, more)
  local row = fault(list, name)
  local cause = { name = name, settings = { state = row.state, accept = row.accept, tls = row.tls },
    options = row.options, scheme = row.scheme, kind = row.kind, retryable = row.retryable, words = words }
  if list == "http2" then cause.settings.tls = { certificate = "server", h2 = true } end
  if row.acts then cause.settings.api = { row.acts } end
  for key, value in pairs(more or {}) do cause[key] = value end
  return cause
end

--- The library reports the code; `why` says why nothing here can cause it.
local function reported(why, kind, retryable, words)
  return { name = "a report of it: " .. why, report = true, kind = kind, retryable = retryable, words = words }
end

-- A row has a `code`, its `number`, and what causes it. A cause has
--   name                    what happens
--   settings                of a listener; see peer.listen
--   url, scheme             of the API, if it is not the listener's
--   options                 for the client; {folder} is that of the certificates, {port} the listener's port
--   slow                    milliseconds before the client sends anything
--   kind, retryable, words  of the error; words are lower case, or several of which one is found
--   instead                 the code of older libcurls
-- A row may name specs that cover it. `other`: the code is not in the table, and means "network", not retryable.
local ROWS = {
  { code = "CURLE_UNSUPPORTED_PROTOCOL", number = 1, other = true,
    caused_by("responses", "text that is not HTTP", "http/0.9") },
  { code = "CURLE_FAILED_INIT", number = 2,
    reported("only a libcurl that cannot start its resolver says so", "network", false, "failed init") },
  { code = "CURLE_COULDNT_RESOLVE_PROXY", number = 5,
    { name = "a proxy whose name does not resolve", kind = "network", retryable = true, words = "resolve proxy",
      options = { proxy = "http://no-such-host.invalid:3128" } },
    { name = "a proxy whose URL is malformed", kind = "argument", retryable = false, words = "the proxy's url",
      options = { proxy = "http://name:pass-word@[::1" } } },
  { code = "CURLE_COULDNT_RESOLVE_HOST", number = 6,
    { name = "a name that does not resolve", url = "https://no-such-host.invalid", kind = "network", retryable = true,
      words = "resolve host" } },
  { code = "CURLE_COULDNT_CONNECT", number = 7,
    caused_by("connections", "refused", "connect"),
    { name = "a proxy of a scheme that libcurl does not know", kind = "argument", retryable = false,
      words = "the proxy's url", options = { proxy = "strange://name:pass-word@127.0.0.1:{port}" } } },
  { code = "CURLE_WEIRD_SERVER_REPLY", number = 8, other = true,
    caused_by("responses", "a negative Content-Length", "content-length", { retryable = false }) },
  { code = "CURLE_HTTP2", number = 16,
    versions.repeats_after_goaway and caused_by("http2", "a frame that is too large", "http2", { retryable = true })
      or caused_by("http2", "GOAWAY before the request is processed", "http2") },
  { code = "CURLE_PARTIAL_FILE", number = 18,
    caused_by("responses", "shorter than its Content-Length", { "bytes remaining", "bytes missing" }) },
  { code = "CURLE_WRITE_ERROR", number = 23,
    { name = "a line feed after a compressed body", kind = "decode", retryable = false,
      words = "there are bytes after the compressed response",
      settings = { api = { { { "gzipped", "[]", "\n" } } } } } },
  { code = "CURLE_OUT_OF_MEMORY", number = 27,
    reported("memory is not short", "memory", false, "out of memory"),
    covered = { memory_spec = "when an allocation by libcurl fails" } },
  { code = "CURLE_OPERATION_TIMEDOUT", number = 28,
    caused_by("connections", "that gets no response", "time") },
  { code = "CURLE_SSL_CONNECT_ERROR", number = 35,
    caused_by("connections", "with garbage in the TLS handshake", "ssl"),
    { name = "a server that wants a certificate", kind = "network", retryable = true, words = "alert",
      settings = { tls = { certificate = "server", version = "1.2", client_certificate = true } } } },
  { code = "CURLE_ABORTED_BY_CALLBACK", number = 42,
    reported("no callback stops a transfer for ever", "network", true, "forked"),
    covered = { curl_error_spec = "fails the call of a child that was forked during it" } },
  { code = "CURLE_GOT_NOTHING", number = 52,
    caused_by("responses", "closed before the header", "empty reply") },
  { code = "CURLE_SEND_ERROR", number = 55,
    { name = "a reset after the TLS handshake, before the request", kind = "network", retryable = true, slow = 100,
      words = { "send failure", "getpeername" },
      settings = { tls = { certificate = "server", version = "1.2" }, secured = { { faults.RESET } } } } },
  { code = "CURLE_RECV_ERROR", number = 56,
    caused_by("responses", "reset before the header", "reset") },
  { code = "CURLE_SSL_CERTPROBLEM", number = 58,
    { name = "a certificate without its key", instead = versions.code_of_a_bad_key,
      kind = "argument", retryable = false, words = "tls.cert",
      settings = { tls = TLS }, options = { tls = { ca_file = "{folder}/ca.pem", cert = "{folder}/ca.pem" } } },
    covered = { tls_spec = "fail the first call if they contain something else" } },
  { code = "CURLE_PEER_FAILED_VERIFICATION", number = 60, other = true,
    caused_by("connections", "with a certificate that nobody has signed", "certificate"),
    caused_by("connections", "with a certificate of another host", "certificate") },
  { code = "CURLE_BAD_CONTENT_ENCODING", number = 61,
    caused_by("responses", "corrupt gzip", "content unencoding") },
  { code = "CURLE_SSL_CACERT_BADFILE", number = 77,
    { name = "authorities in a file that has none", kind = "argument", retryable = false, words = "tls.ca_file",
      settings = { tls = TLS }, options = { tls = { ca_file = "{folder}/server.key" } } },
    covered = { tls_spec = "fail the first call if they contain something else" } },
  { code = "CURLE_HTTP2_STREAM", number = 92,
    caused_by("http2", "RST_STREAM: internal error", "http/2 stream") },
  { code = "CURLE_PROXY", number = 97, other = true,
    { name = "a SOCKS proxy that accepts nobody", kind = "network", retryable = false, words = "authentication method",
      settings = { accept = { { { "send", "\5\255" }, faults.STALL } } },
      options = { proxy = "socks5://127.0.0.1:{port}" } } },
  { code = "CURLE_TOO_LARGE", number = 100,
    caused_by("responses", "an endless header field", "field", { instead = 27 }),
    reported("older libcurls do not have it", "too_large", false, "too long") },
}

describe("the table of libcurl's codes", function()
  local server, library, remove_library

  setup(function()
    server = peer.start()
    library, remove_library = preload(LIBRARY)
  end)
  teardown(function()
    server:stop()
    remove_library()
  end)

  --- A value as Lua source.
  local function source_of(value, folder, port)
    if type(value) == "table" then
      local members = {}
      for name, member in pairs(value) do
        members[#members + 1] = name .. " = " .. source_of(member, folder, port)
      end
      return "{ " .. table.concat(members, ", ") .. " }"
    end
    if type(value) ~= "string" then return tostring(value) end
    return ("%q"):format((value:gsub("{folder}", folder):gsub("{port}", port)))
  end

  --- Causes a code in another process. Returns the codes of libcurl, and kind, retryable and message of the error.
  local function cause(row, how)
    local settings = { good_api = faults.good.api }
    for name, value in pairs(how.settings or {}) do settings[name] = value end
    local listener = server:listen(settings)
    finally(function() listener:close() end)
    local options = { base_url = how.url or listener.url, access_token = "static", proxy = "", max_retries = 0,
      timeout = 5, tls = { ca_file = "{folder}/ca.pem" } }
    if how.scheme then options.base_url = options.base_url:gsub("^%w+", how.scheme) end
    for name, value in pairs(how.options or {}) do options[name] = value end
    local output = helper.run(([[
      io.stdout:setvbuf "no"
      local options = %s
      local _, err = assert(require("podero").new(options)):list_users(%q)
      print(err and ("%%s %%s %%s"):format(err.kind, tostring(err.retryable), tostring(err)))
    ]]):format(source_of(options, server.folder, tostring(listener.port)), helper.ORG), {
      LD_PRELOAD = CAN_PRELOAD and library or nil, REPORT = how.report and ("%d"):format(row.number) or nil,
      SLOW = how.slow and tostring(how.slow) or nil,
    })
    local codes = {}
    for code in output:gmatch("code (%d+)\n") do codes[#codes + 1] = tonumber(code) end
    local kind, retryable, message = output:match("\n?([%l_]+) (%l+) ([^\n]*)\n$")
    assert.truthy(kind, output)
    return codes, kind, retryable == "true", message
  end

  for _, row in ipairs(ROWS) do
    for _, how in ipairs(row) do
      it(("gives the meaning of %s, caused by %s"):format(row.code, how.name), function()
        if not CAN_PRELOAD and (how.report or how.slow) then return pending "no library can be preloaded" end
        local codes, kind, retryable, message = cause(row, how)
        if CAN_PRELOAD then
          assert.equal(1, #codes)
          assert.is_true(codes[1] == row.number or codes[1] == how.instead, ("code %d: %s"):format(codes[1], message))
        end
        assert.equal(how.kind, kind, message)
        assert.equal(how.retryable, retryable, message)
        local words = type(how.words) == "table" and how.words or { how.words }
        local said = false
        for _, text in ipairs(words) do said = said or message:lower():find(text, 1, true) ~= nil end
        assert.is_true(said, message)
        assert.is_nil(message:find("pass-word", 1, true), message)
        if row.other then assert.same({ "network", false }, { kind, retryable }) end
      end)
    end
  end

  it("has only codes that are specified here, each with a cause", function()
    local rows, table_of_codes = {}, helper.read("src/core/http/curl_error.c"):match("errors%[%] = {(.-)\n};")
    local count = 0
    for _, row in ipairs(ROWS) do
      assert.is_true(#row > 0, row.code)
      rows[row.code] = row
    end
    for code in table_of_codes:gmatch("[{_](CURLE_[%u%d_]+), FAILURE_") do
      assert.truthy(rows[code], code .. " has no row")
      assert.is_nil(rows[code].other, code)
      rows[code].found, count = true, count + 1
    end
    assert.equal(select(2, table_of_codes:gsub(" FAILURE_", "")), count)
    for code, row in pairs(rows) do assert.equal(not row.other, row.found or false, code) end
  end)

  it("names only specs that exist", function()
    for _, row in ipairs(ROWS) do
      for spec, test in pairs(row.covered or {}) do
        assert.truthy(helper.read("spec/" .. spec .. ".lua"):find("\"" .. test, 1, true), row.code .. ": " .. test)
      end
    end
  end)

  it("fails the call of a child that was forked during it", function()
    local listener = server:listen { api = { { { "pause", 0.2 }, faults.good.api[1] } }, good_api = faults.good.api }
    finally(function() listener:close() end)
    local child
    local client = assert(podero.new { base_url = listener.url, access_token = "static", proxy = "", max_retries = 0,
      wait = function()
        if not child and select(5, listener:received()) == 1 then child = process.fork() end
      end })
    local users, err = client:list_users(helper.ORG)
    if child == 0 then
      local expected = not users and err.kind == "network" and err.retryable and err.message:find("forked", 1, true)
      process.leave(expected and 7 or 1)
    end
    assert.equal(3, #assert(users, tostring(err)))
    assert.equal(7, process.wait(child))
    client:close()
  end)
end)
