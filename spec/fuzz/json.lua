local oracle = require "spec.support.oracle"

--- The first two bytes determine how the rest is cut.
return function(input)
  local a, b = input:byte(1, 2)
  if not b then return end
  local agreed, problem = oracle.compare(input:sub(3), { a % 16 + 1, b % 64 + 1, a })
  if agreed == nil then error(problem) end
end
