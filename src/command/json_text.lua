--- Prints JSON as it came. The text is checked, but numbers and strings are not converted.

local failure = require "podero.command.failure"
local layout = require "podero.command.json_layout"

local json_text = {}

--- Writes a text to a sink (see output.lua): unchanged, or, if that is a terminal, with a line for each member. If the
-- text is not JSON, raises a failure and writes nothing.
function json_text.copy(sink, text)
  if not layout.is_json(text) then failure.error("decode: the response is not JSON", "decode") end
  if sink.is_terminal then
    for piece in layout.lines(text) do sink:write(piece) end
    sink:write("\n")
  else
    sink:write(text, text:find("\n$") and "" or "\n")
  end
end

return json_text
