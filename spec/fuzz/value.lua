local decoder = require "decoder"
local oracle = require "spec.support.oracle"

--- Error bodies are decoded at once, whatever bytes are in their strings.
local function check_at_once(text)
  local ok, value = decoder.value(text)
  local at_once, same = decoder.value_at_once(text)
  if ok and not (at_once and oracle.same(value, same)) then error("at once: not the same value") end
  if at_once and not ok then
    local _, _, message = decoder.value(text)
    if not message:find("^invalid UTF%-8") then error("only at once: " .. message) end
  end
end

--- The first three bytes determine how the rest is cut and limited.
return function(input)
  local a, b, c = input:byte(1, 3)
  if not c then return end
  local text, sizes = input:sub(4), { a % 16 + 1, b % 64 + 1, a + 1 }
  local agreed, problem = oracle.compare_values(text, sizes, c < 128 and 0 or c)
  if agreed == nil then error(problem) end
  check_at_once(text)
end
