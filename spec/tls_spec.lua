--- The option tls: trusted authorities, and keys and files that cannot be used.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local peer = require "spec.support.peer"

local ORG, quoted = helper.ORG, helper.quoted

local function shell(command)
  local text, code = helper.shell(command)
  assert(code == 0, text)
  return text
end

--- A program that lists the users of an organization with these options, given as Lua source, and prints their number
-- or the error.
local function program(url, options)
  return ([[
    local client = assert(require("podero").new { base_url = "%s", access_token = "static", timeout = 5,
      max_retries = 0, %s })
    local users, err = client:list_users("%s")
    print(users and #users or err.kind, err)
  ]]):format(url, options, ORG)
end

describe("tls", function()
  local server, folder

  setup(function()
    server = mock.start()
    folder = server.dir
    shell(([[cd %s
      openssl pkey -in client.key -aes128 -passout pass:sesame -out encrypted.key
      openssl ec -in client.key -aes128 -passout pass:sesame -out traditional.key
      cat client.pem encrypted.key >both.pem
      openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key
      echo rubbish >rubbish
      : >empty
      mkdir empty_folder]]):format(quoted(folder)))
  end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, {})
  end)
  after_each(helper.close_clients)

  local function client_with(tls, more)
    local options = { base_url = server.tls_url, access_token = "static", tls = { ca_file = server.ca_file } }
    for name, value in pairs(tls) do options.tls[name] = value end
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  local function file(name) return folder .. "/" .. name end

  describe("key_password", function()
    it("decrypts an encrypted key", function()
      helper.static(server, { require_client_cert = true })
      for _, key in ipairs { "encrypted.key", "traditional.key" } do
        local client = client_with { cert = server.client_cert, key = file(key), key_password = "sesame" }
        assert.equal(25, #assert(client:list_users(ORG)))
        assert.equal("CN=mock client", helper.last(server, "api").client_cert)
      end
      assert(client_with { cert = file "both.pem", key_password = "sesame" }:list_users(ORG))
      -- A key without a password may be given one.
      assert(client_with { cert = server.client_cert, key = server.client_key, key_password = "x" }:list_users(ORG))
    end)

    it("fails the first call at once if it is wrong or missing, and is named", function()
      for _, tls in ipairs {
        { key = file "encrypted.key" }, { key = file "traditional.key" }, { cert = file "both.pem" },
        { key = file "encrypted.key", key_password = "open" }, { key = file "traditional.key", key_password = "open" },
        { key = file "encrypted.key", key_password = ("x"):rep(5000) },
      } do
        tls.cert = tls.cert or server.client_cert
        local client = client_with(tls, { timeout = 20 })
        local seconds, users, err = helper.timed(client.list_users, client, ORG)
        err = helper.failed("argument", users, err)
        assert.truthy(err.message:find("tls.key_password", 1, true), err.message)
        assert.is_false(err.retryable)
        assert.equal(1, err.attempts)
        assert.is_true(seconds < 5, tostring(seconds))
        if tls.key_password then assert.is_nil(err.message:find(tls.key_password, 1, true), err.message) end
      end
      assert.equal(0, #server:requests())
    end)

    local OPTIONS = "tls = { ca_file = '%s', cert = '%s', key = '%s' }"

    it("is not read from standard input if it is missing", function()
      local code = program(server.tls_url, OPTIONS:format(server.ca_file, server.client_cert, file "encrypted.key"))
      -- Without a terminal, OpenSSL would read it there.
      local output = shell("printf 'sesame\\nnext line\\n' | setsid -w "
        .. helper.command(code .. " print(io.read()) print(io.read())"))
      assert.truthy(output:find("^argument\t[^\n]*tls.key_password[^\n]*\nsesame\nnext line\n$"), output)
    end)

    it("is not requested on a terminal if it is missing", function()
      local code = program(server.tls_url, OPTIONS:format(server.ca_file, server.client_cert, file "encrypted.key"))
      local output = shell(("/usr/bin/env python3 - %s <<'END'\n%s\nEND"):format(
        quoted("exec " .. helper.command(code)), [=[
import os, pty, select, sys, time
child, terminal = pty.fork()
if child == 0: os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
output, end = b"", time.time() + 60
while time.time() < end and b"pass phrase:" not in output:
    if not select.select([terminal], [], [], 1)[0]: continue
    try: piece = os.read(terminal, 4096)
    except OSError: break # it has ended
    if not piece: break
    output += piece
else: os.kill(child, 9)
os.waitpid(child, 0)
print(output.decode())
]=]))
      assert.truthy(output:find("^argument\t[^\n]*tls.key_password[^\n]*\n"), output)
      assert.is_nil(output:find("pass phrase", 1, true), output)
    end)
  end)

  describe("files that cannot be used", function()
    --- Checks that the first call fails without a retry, and the second, too. Returns the message of the first.
    local function fails(tls, url)
      local client = client_with(tls, { base_url = url, max_retries = 5 })
      local seconds, users, err = helper.timed(client.list_users, client, ORG)
      err = helper.failed("argument", users, err)
      assert.is_false(err.retryable)
      assert.equal(1, err.attempts)
      assert.is_true(seconds < 1, tostring(seconds))
      helper.failed("argument", client:list_users(ORG))
      return err.message
    end

    it("fail the first call with the name of the option and the reason", function()
      local missing, below_a_file = file "no-such-file", server.ca_file .. "/x"
      for _, name in ipairs { "ca_file", "ca_path", "cert", "key" } do
        for path, reason in pairs { [missing] = "No such file", [below_a_file] = "Not a directory" } do
          local tls = { cert = server.client_cert, key = server.client_key }
          tls[name] = path
          local message = fails(tls)
          assert.truthy(message:find("tls." .. name, 1, true), message)
          assert.truthy(message:find(path, 1, true), message)
          assert.truthy(message:find(reason, 1, true), message)
        end
      end
      assert.equal(0, #server:requests())
    end)

    it("fail the first call even if nothing listens at the URL, and before a token request", function()
      local url = ("https://127.0.0.1:%d"):format(helper.closed_port())
      assert.truthy(fails({ ca_file = file "no-such-file" }, url):find("tls.ca_file", 1, true))
      local client = helper.client(server, { base_url = url, tls = { ca_path = file "no-such-folder" } })
      local err = helper.failed("argument", client:list_users(ORG))
      assert.truthy(err.message:find("tls.ca_path", 1, true), err.message)
    end)

    it("fail the first call if they are not readable", function()
      local name = file "secret"
      shell(("mkdir -m 0 %s && echo x >%s/x"):format(quoted(name), quoted(name)))
      local code = program(server.tls_url, ("tls = { ca_file = '%s/x' }"):format(name))
      -- root may read everything unless it drops its capabilities.
      local as_nobody = "setpriv --bounding-set=-all --inh-caps=-all "
      local output = helper.shell(as_nobody .. helper.command(code))
      shell(("chmod 700 %s"):format(quoted(name)))
      if output:find("setpriv", 1, true) then return pending(output) end
      assert.truthy(output:find("^argument\t[^\n]*tls.ca_file[^\n]*Permission denied"), output)
    end)

    it("fail the first call if they are folders, or if ca_path is a file", function()
      for _, name in ipairs { "ca_file", "cert", "key" } do
        local tls = { cert = server.client_cert, key = server.client_key }
        tls[name] = folder
        local message = fails(tls)
        assert.truthy(message:find("tls." .. name .. " " .. folder .. " is a folder", 1, true), message)
      end
      local message = fails { ca_path = server.ca_file }
      assert.truthy(message:find("tls.ca_path", 1, true), message)
    end)

    it("fail the first call if they contain something else", function()
      for _, name in ipairs { "ca_file", "cert", "key" } do
        for _, content in ipairs { "rubbish", "empty" } do
          local tls = { cert = server.client_cert, key = server.client_key }
          tls[name] = file(content)
          local message = fails(tls)
          assert.truthy(message:find("tls." .. name, 1, true), message)
        end
      end
      assert.truthy(fails { cert = server.client_key, key = server.client_key }:find("tls.cert", 1, true))
      assert.truthy(fails { cert = server.client_cert, key = server.client_cert }:find("tls.key", 1, true))
    end)

    it("fail the first call if the key belongs to another certificate", function()
      assert.truthy(fails { cert = server.client_cert, key = file "other.key" }:find("tls.key", 1, true))
    end)

    it("fail the first call if there is a key or its password without a certificate", function()
      for _, tls in ipairs { { key = server.client_key }, { key_password = "sesame" } } do
        local message = fails(tls)
        assert.truthy(message:find("tls.cert", 1, true), message)
      end
    end)

    it("are not read for a URL without TLS", function()
      local tls = { ca_file = file "no-such-file", cert = file "no-such-file" }
      assert.equal(25, #assert(client_with(tls, { base_url = server.url }):list_users(ORG)))
    end)

    it("are read again in the next call", function()
      local name = file "later.pem"
      local client = client_with { ca_file = name }
      helper.failed("argument", client:list_users(ORG))
      shell(("cp %s %s"):format(quoted(server.ca_file), quoted(name)))
      assert.equal(25, #assert(client:list_users(ORG)))
    end)
  end)

  it("needs no file while a connection is open", function()
    local name = file "gone.pem"
    shell(("cp %s %s"):format(quoted(server.ca_file), quoted(name)))
    local client = client_with { ca_file = name }
    assert(client:list_users(ORG))
    os.remove(name)
    assert(client:list_users(ORG))
  end)
end)

describe("an error of a server that requests a client certificate", function()
  local servers

  setup(function()
    servers = peer.start()
    shell(([[cd %s && openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=nobody \
      -keyout nobody.key -days 2 -out nobody.pem 2>&1]]):format(quoted(servers.folder)))
  end)
  teardown(function() servers:stop() end)
  after_each(helper.close_clients)

  --- TLS options with this certificate and key.
  local function tls_of(name)
    local place = servers.folder .. "/" .. name
    return { ca_file = servers.ca_file, cert = place .. ".pem", key = place .. ".key" }
  end

  --- Lists users with these TLS options, over each version of TLS and by two methods. Calls `check` with the version
  -- and the results.
  local function try(tls, check)
    for _, version in ipairs { "1.2", "1.3" } do
      local listener = servers:listen { good_api = faults.good.api,
        tls = { certificate = "server", version = version, client_certificate = true } }
      finally(function() listener:close() end)
      local client = helper.client(listener, { access_token = "static", max_retries = 0, tls = tls })
      check(version, client:list_users(ORG))
      local ok, err = pcall(function() for _ in client:each_user(ORG) do break end end) -- luacheck: ignore 512
      if not ok then err.delivered = nil end
      check(version, ok or nil, err)
      listener:close()
    end
  end

  local function is_openssl()
    return helper.shell("curl-config --ssl-backends"):find("OpenSSL", 1, true) ~= nil
  end

  it("says so if none is given", function()
    if not is_openssl() then return pending "known with OpenSSL only" end
    try({ ca_file = servers.ca_file }, function(version, users, err)
      err = helper.failed("network", users, err)
      assert.truthy(err.message:find("the server asks for a client certificate (see tls.cert, tls.key)", 1, true),
        version .. ": " .. err.message)
    end)
  end)

  it("says that the server has refused an unknown one", function()
    if not is_openssl() then return pending "known with OpenSSL only" end
    try(tls_of "nobody", function(version, users, err)
      err = helper.failed("network", users, err)
      -- With TLS 1.3, the connection can end before the client has read the alert.
      local said = err.message:find("the server has refused tls.cert: .*alert")
        or version == "1.3" and err.message:find("the server may have refused tls.cert: ", 1, true)
      assert.truthy(said, version .. ": " .. err.message)
    end)
  end)

  it("does not say so if the server responds, or closes the connection later", function()
    local tls = tls_of "client"
    try(tls, function(_, users, err) assert.truthy(users, tostring(err)) end)
    local listener = servers:listen { api = { faults.good.api, { faults.RESET } }, good_api = faults.good.api,
      tls = { certificate = "server", client_certificate = true } }
    finally(function() listener:close() end)
    local client = helper.client(listener, { access_token = "static", max_retries = 0, tls = tls })
    assert(client:list_users(ORG))
    local err = helper.failed("network", client:request("POST", "/x"))
    assert.is_nil(err.message:find("tls.cert", 1, true), err.message)
  end)
end)

-- Redirects /etc/ssl/certs, the default folder of Debian's libcurl, to another folder, so that a program takes a test
-- authority for one of the system's.
local SYSTEM = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *moved(const char *name, char *place, size_t size) {
  static const char system[] = "/etc/ssl/certs";
  const char *folder = getenv("SYSTEM_AUTHORITIES");
  if (folder == NULL || name == NULL || strncmp(name, system, sizeof system - 1) != 0) return name;
  snprintf(place, size, "%s%s", folder, name + sizeof system - 1);
  return place;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

FILE *fopen(const char *name, const char *mode) {
  char place[4096];
  return NEXT(fopen)(moved(name, place, sizeof place), mode);
}

FILE *fopen64(const char *name, const char *mode) {
  char place[4096];
  return NEXT(fopen64)(moved(name, place, sizeof place), mode);
}

int stat(const char *name, struct stat *out) {
  char place[4096];
  return NEXT(stat)(moved(name, place, sizeof place), out);
}

int stat64(const char *name, struct stat64 *out) {
  char place[4096];
  return NEXT(stat64)(moved(name, place, sizeof place), out);
}
]]

describe("the system's authorities", function()
  local servers, system, empty, library

  setup(function()
    servers = peer.start()
    system, empty, library = servers.folder .. "/system", servers.folder .. "/empty", servers.folder .. "/system.so"
    local name = servers.folder .. "/system.c"
    local source = assert(io.open(name, "w"))
    source:write(SYSTEM)
    source:close()
    shell(("mkdir %s %s && cd %s && cp ../ca.pem ca-certificates.crt && openssl rehash ."):format(quoted(system),
      quoted(empty), quoted(system)))
    shell(("${CC:-cc} -shared -fPIC -o %s %s -ldl"):format(quoted(library), quoted(name)))
  end)
  teardown(function() servers:stop() end)

  --- Runs a program whose system trusts the peer's authority. Returns its output and the number of such requests.
  local function run(options, settings, url, kind, folder)
    settings.tls = { certificate = "server" }
    local listener = servers:listen(settings)
    local code = program(url or listener.url, options:format(listener.port))
    local output = helper.run(code, { LD_PRELOAD = library, SYSTEM_AUTHORITIES = folder or system })
    local count = 0
    for _, request in ipairs((listener:received())) do
      if request.kind == kind then count = count + 1 end
    end
    listener:close()
    return output, count
  end

  local function api(tls) return run("proxy = '', tls = " .. tls, { good_api = faults.good.api }, nil, "api") end

  local function is_elsewhere()
    if helper.CHECKED then return "no library can be preloaded" end
    if not api("{}"):find("^%d+\t") then return "this libcurl's authorities are not in /etc/ssl/certs" end
  end

  it("are trusted by default", function()
    local reason = is_elsewhere()
    if reason then return pending(reason) end
    local output, requests = api "{ verify = true }"
    assert.truthy(output:find("^%d+\t"), output)
    assert.equal(1, requests)
  end)

  it("are replaced by ca_file and by ca_path", function()
    local reason = is_elsewhere()
    if reason then return pending(reason) end
    local other = servers.folder .. "/other_ca.pem"
    for _, tls in ipairs {
      ("{ ca_file = '%s' }"):format(other), ("{ ca_path = '%s' }"):format(empty),
      ("{ ca_file = '%s', ca_path = '%s' }"):format(other, empty),
    } do
      local output, requests = api(tls)
      assert.truthy(output:find("^network\t.*certificate"), tls .. output)
      assert.equal(0, requests)
    end
    for _, tls in ipairs {
      ("{ ca_file = '%s/ca.pem', ca_path = '%s' }"):format(servers.folder, empty),
      ("{ ca_file = '%s', ca_path = '%s' }"):format(other, system),
    } do
      assert.truthy(api(tls):find("^%d+\t"), tls)
    end
  end)

  it("that are missing fail the call with an error that names tls.ca_file", function()
    local reason = is_elsewhere()
    if reason then return pending(reason) end
    local output = run("proxy = ''", { good_api = faults.good.api }, nil, "api", empty)
    assert.truthy(output:find("^argument\t[^\n]*tls.ca_file"), output)
  end)

  it("are replaced for a proxy, too", function()
    local reason = is_elsewhere()
    if reason then return pending(reason) end
    local function connect(tls)
      return run("proxy = 'https://name:password@localhost:%d', tls = " .. tls,
        { connect = { { { "respond", 403, {}, "" } } } }, "https://api.example", "connect")
    end
    local output, requests = connect "{}"
    assert.equal(1, requests, output)
    output, requests = connect(("{ ca_file = '%s/other_ca.pem' }"):format(servers.folder))
    assert.truthy(output:find("^network\t.*certificate"), output)
    assert.equal(0, requests)
    output, requests = connect(("{ ca_path = '%s' }"):format(empty))
    assert.truthy(output:find("^network\t.*certificate"), output)
    assert.equal(0, requests)
    output, requests = connect(("{ ca_file = '%s/ca.pem' }"):format(servers.folder))
    assert.equal(1, requests, output)
  end)
end)
