-- What the specs with Django rely on: the server ends with its owner, and leaves no files.
local django = require "spec.support.django"
local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local function is_gone(pid, folder)
  return nginx.read_file("/proc/" .. pid .. "/cmdline") == nil and not nginx.run("test -e " .. folder)
end

describe("the Django server", function()
  it("ends when it is stopped, and leaves no files", function()
    local server = django.start()
    local pid = server:pid()
    assert.is_false(is_gone(pid, server.dir))
    server:stop()
    server:stop()
    assert.is_true(is_gone(pid, server.dir))
    assert.equal("", nginx.output_of("find spec/support/django -name '*.pyc' -o -name '*.sqlite3*'"))
  end)

  it("ends if its owner is killed", function()
    local output = helper.run([[
      local server = require("spec.support.django").start()
      print(server:pid(), server.dir)
      io.stdout:flush()
      os.execute("kill -KILL $PPID")
    ]])
    local pid, folder = output:match("(%d+)%s+(%S+)")
    assert.truthy(pid, output)
    local ends = socket.gettime() + 10
    while not is_gone(pid, folder) and socket.gettime() < ends do socket.sleep(0.02) end
    assert.is_true(is_gone(pid, folder))
  end)

  it("runs beside others, each with its applications, settings and record", function()
    local first, second = django.start(), django.start { backend = "json" }
    finally(function()
      first:stop()
      second:stop()
    end)
    first:application("only-here", "secret")
    local options = { token_url = "/oauth2/token/", client_id = "only-here", client_secret = "secret" }
    assert(helper.client(first, options):token())
    assert.is_nil((helper.client(second, options):token()))
    helper.close_clients()
    assert.same({ "form basic client_credentials" }, helper.token_requests(first))
    assert.same({ "form basic client_credentials", "json basic client_credentials", "json body client_credentials" },
      helper.token_requests(second))
  end)

  it("is after a reset as it was after the start", function()
    local server = django.start()
    finally(function() server:stop() end)
    local function credentials_work()
      local client = helper.client(server, { token_url = "/oauth2/token/", token_encoding = "form" })
      return client:list_users(django.ORG) ~= nil
    end
    assert.is_true(credentials_work())
    server:configure { backend = "json", debug = true, allowed_hosts = { "elsewhere.example" }, refusals = "toolkit" }
    server:configure { expires_in = 1 }
    server:delete_application("demo-client")
    assert.is_false(credentials_work())
    server:reset()
    assert.same({}, server:requests())
    assert.is_true(credentials_work())
    assert.equal(2, #server:requests())
    helper.close_clients()
  end)
end)
