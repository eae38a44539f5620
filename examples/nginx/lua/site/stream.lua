--- The body of an answer in pieces, each sent when the one before it has left: however long it is, it takes no memory,
-- and a slow visitor slows down whoever writes it.

local Stream = {}
Stream.__index = Stream

local PIECE = 32 * 1024

function Stream.new()
  return setmetatable({ texts = {}, count = 0, size = 0 }, Stream)
end

--- Sends what was written; nil and a message where that fails, the visitor gone.
function Stream:flush()
  local ok, err = ngx.print(table.concat(self.texts, "", 1, self.count))
  self.count, self.size = 0, 0
  if not ok then return nil, err end
  return ngx.flush(true)
end

--- Appends a text; nil and a message as above.
function Stream:write(text)
  self.count = self.count + 1
  self.texts[self.count] = text
  self.size = self.size + #text
  if self.size < PIECE then return true end
  return self:flush()
end

return Stream
