--- A peer with one listener at a time, and clients of it. `start`, `stop` and `close` are for setup, teardown and
-- after_each of a block of specs.

local helper = require "spec.support.helper"
local peer = require "spec.support.peer"

return function()
  local one = {}

  function one.start() one.peer = peer.start() end
  function one.stop() one.peer:stop() end

  --- A client of a new listener, which `one.listener` is from now on. `settings`: see peer.listen. `more` adds or
  -- replaces options; unless it has a client_id, the client has the token "static".
  function one.client(settings, more)
    local options = { max_retries = 0, timeout = 10, tls = settings.tls and { ca_file = one.peer.ca_file } or nil }
    if not (more and more.client_id) then options.access_token = "static" end
    for name, value in pairs(more or {}) do options[name] = value end
    if one.listener then one.listener:close() end
    one.listener = one.peer:listen(settings)
    return helper.client(one.listener, options)
  end

  function one.close()
    if one.listener then one.listener:close() end
    one.listener = nil
    helper.close_clients()
  end

  return one
end
