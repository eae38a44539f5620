-- What the other specs rely on: the scripted server ends with its owner.
local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"
local peer = require "spec.support.peer"
local socket = require "socket"

local function is_gone(pid, folder)
  return nginx.read_file("/proc/" .. pid .. "/cmdline") == nil and nginx.read_file(folder .. "/ca.pem") == nil
end

describe("the scripted server", function()
  it("ends when it is stopped, and leaves no files", function()
    local server = peer.start()
    assert.is_false(is_gone(server.pid, server.folder))
    server:stop()
    server:stop()
    assert.is_true(is_gone(server.pid, server.folder))
  end)

  it("ends if its owner is killed", function()
    local output = helper.run([[
      local server = require("spec.support.peer").start()
      server:listen {}
      print(server.pid, server.folder)
      io.stdout:flush()
      os.execute("kill -KILL $PPID")
    ]])
    local pid, folder = output:match("(%d+)%s+(%S+)")
    assert.truthy(pid, output)
    local ends = socket.gettime() + 5
    while not is_gone(pid, folder) and socket.gettime() < ends do socket.sleep(0.02) end
    assert.is_true(is_gone(pid, folder))
  end)

  it("sends and receives any bytes", function()
    local server = peer.start()
    finally(function() server:stop() end)
    local bytes = {}
    for code = 0, 255 do bytes[#bytes + 1] = string.char(code) end
    bytes = table.concat(bytes)
    local listener = server:listen { api = { { { "send", bytes }, { "close" } } } }
    local connection = assert(socket.connect("127.0.0.1", listener.port))
    connection:send(("POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"):format(#bytes, bytes))
    assert.equal(bytes, connection:receive("*a"))
    connection:close()
    local requests, connections = listener:received()
    assert.equal(1, #requests)
    assert.equal(1, connections)
    assert.equal(bytes, requests[1].body)
    assert.equal("/x", requests[1].target)
  end)
end)
