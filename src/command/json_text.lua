--- Prints JSON as it came (RFC 8259): the text is checked, but numbers and strings are not converted, so that large
-- integers, 1e400, 1.0 and {} stay what they are.

local failure = require "podero.command.failure"

local json_text = {}

--- Returns the position after a string that begins at `i`, or nil.
local function after_string(text, i)
  i = i + 1
  while true do
    i = text:find("[%c\"\\]", i)
    if not i then return nil end
    local character = text:sub(i, i)
    if character == "\"" then return i + 1 end
    if character == "\\" then
      i = text:match("^[\"\\/bfnrt]()", i + 1) or text:match("^u%x%x%x%x()", i + 1)
      if not i then return nil end
    elseif character == "\127" then -- the only one of %c that JSON does not forbid
      i = i + 1
    else
      return nil
    end
  end
end

local function after_number(text, i)
  local digits, after = text:match("^%-?(%d+)()", i)
  if not digits or digits:find("^0.") then return nil end
  after = text:match("^%.%d+()", after) or not text:find("^%.", after) and after
  if not after then return nil end
  return text:match("^[eE][+-]?%d+()", after) or not text:find("^[eE]", after) and after or nil
end

local LITERALS = { t = "^true()", f = "^false()", n = "^null()" }

--- Returns the position after a string, number, true, false or null that begins at `i`, or nil.
local function after_scalar(text, i)
  local first = text:sub(i, i)
  if first == "\"" then return after_string(text, i) end
  if LITERALS[first] then return text:match(LITERALS[first], i) end
  return after_number(text, i)
end

local MAX_DEPTH = 512 -- as the module has it
local CLOSING = { ["{"] = "}", ["["] = "]" }

--- Checks the text. Returns whether it is JSON. Calls `emit(token, before)` for each bracket, comma, colon and scalar,
-- if it is given.
local function scan(text, emit)
  local closing, depth = {}, 0 -- the brackets that are open
  -- What may come: "value", "key", or "next" (a comma or a closing bracket). `empty`: or a closing bracket.
  local expected, is_empty = "value", false
  local i = text:match("^[ \t\r\n]*()")
  while true do
    local first, token = text:sub(i, i), nil
    if (expected == "next" or is_empty) and depth > 0 and first == closing[depth] then
      depth, expected, token = depth - 1, "next", first
    elseif expected == "next" then
      if first ~= "," or depth == 0 then return false end
      expected, token = closing[depth] == "}" and "key" or "value", first
    elseif expected == "key" then
      local after = first == "\"" and after_string(text, i)
      local colon = after and text:match("^[ \t\r\n]*:()", after)
      if not colon then return false end
      token, expected = text:sub(i, after - 1), "value"
      if emit then emit(token, "key") end
      i, token = colon, nil
    elseif CLOSING[first] then
      if depth == MAX_DEPTH then return false end
      depth = depth + 1
      closing[depth] = CLOSING[first]
      expected, token = first == "{" and "key" or "value", first
    else
      local after = after_scalar(text, i)
      if not after then return false end
      if emit then emit(text:sub(i, after - 1), "scalar") end
      i, expected = after, "next"
    end
    is_empty = token == "{" or token == "["
    if token then
      if emit then emit(token, "mark") end
      i = i + 1
    end
    i = text:match("^[ \t\r\n]*()", i)
    if depth == 0 and expected == "next" then return i > #text end
  end
end

-- For a terminal ------------------------------------------------------------------------------------------------------

local LENGTHS = { { 194, 223, 2 }, { 224, 239, 3 }, { 240, 244, 4 } }

--- Replaces what is no UTF-8 in a lead byte (or none) and the continuation bytes behind it.
local function only_utf8(bytes)
  local lead = bytes:byte()
  for _, length in ipairs(LENGTHS) do
    if lead >= length[1] and lead <= length[2] then
      if #bytes < length[3] then return "?" end
      return bytes:sub(1, length[3]) .. ("?"):rep(#bytes - length[3])
    end
  end
  return ("?"):rep(#bytes)
end

local function escape(code)
  return function(byte) return ("\\u%04x"):format(code + byte:byte() - 128) end
end

-- DEL and C1, and the characters that reorder text.
local CONTROLS = {
  { "\194([\128-\159])", escape(0x80) },
  { "\226\128([\142\143\170-\174])", escape(0x2000) },
  { "\226\129([\166-\169])", escape(0x2040) },
}

--- Escapes in a string of JSON what controls a terminal.
local function harmless(token)
  if not token:find("[\127-\255]") then return token end
  token = token:gsub("\127", "\\u007f"):gsub("[\128-\255][\128-\191]*", only_utf8)
  for _, control in ipairs(CONTROLS) do token = token:gsub(control[1], control[2]) end
  return token
end

--- Returns an `emit` for `scan` that writes each member on a line of its own.
local function printer(sink)
  local indentation, opened = "", false
  local function new_line() sink:write("\n", indentation) end
  return function(token, kind)
    if token == "}" or token == "]" then
      indentation = indentation:sub(3)
      if not opened then new_line() end
      sink:write(token)
      opened = false
      return
    end
    if opened then new_line() end
    opened = false
    if kind == "key" then
      sink:write(harmless(token), ": ")
    elseif token == "," then
      sink:write(",")
      new_line()
    elseif kind == "mark" then -- an opening bracket
      sink:write(token)
      indentation, opened = indentation .. "  ", true
    else
      sink:write(harmless(token))
    end
  end
end

--- Writes a text to a sink (see output.lua): as it is, or, if that is a terminal, with a line for each member and
-- without characters that control the terminal. Raises a failure if it is not JSON; then nothing is written.
function json_text.copy(sink, text)
  if not scan(text) then failure.error("decode: the response is not JSON", "decode") end
  if sink.is_terminal then
    scan(text, printer(sink))
    sink:write("\n")
  else
    sink:write(text, text:find("\n$") and "" or "\n")
  end
end

return json_text
