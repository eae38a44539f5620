--- Sends the body of a response in pieces, each after the one before it has been sent: a body of any length takes
-- little memory. Writing waits for a slow visitor.

local Stream = {}
Stream.__index = Stream

local PIECE = 32 * 1024

function Stream.new()
  return setmetatable({ texts = {}, count = 0, size = 0 }, Stream)
end

--- Sends what was written. Returns nil and a message if that fails because the visitor has gone away.
function Stream:flush()
  local ok, err = ngx.print(table.concat(self.texts, "", 1, self.count))
  self.count, self.size = 0, 0
  if not ok then return nil, err end
  return ngx.flush(true)
end

--- Appends a text, and sends when there is enough. Returns nil and a message as `flush` does.
function Stream:write(text)
  self.count = self.count + 1
  self.texts[self.count] = text
  self.size = self.size + #text
  if self.size < PIECE then return true end
  return self:flush()
end

return Stream
