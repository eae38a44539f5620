local decoder = require "decoder"
local oracle = require "spec.support.oracle"

--- The outcome, which is the same however the text is cut: users, or an error with its position.
local function check_pieces(text, validate, limit, sizes)
  local whole = { decoder.decode(text, validate, nil, { copy = true, user_limit = limit }) }
  for _, each in ipairs { false, true } do
    local cut = { decoder.decode(text, validate, sizes, { copy = true, user_limit = limit, each = each }) }
    for i = 1, 6 do
      if not oracle.same(whole[i], cut[i]) then
        error(("the result depends on the pieces: %s, not %s"):format(tostring(cut[i]), tostring(whole[i])))
      end
    end
  end
  return whole
end

local REQUIRED = { "id", "organization_id", "role", "email", "num_inverters", "num_heat_pumps",
  "num_electric_vehicles", "num_wallboxes" }

--- The first three bytes determine how the rest is cut and limited.
return function(input)
  local a, b, c = input:byte(1, 3)
  if not c then return end
  local text, sizes = input:sub(4), { a % 16 + 1, b % 64 + 1, a + 1 }
  local limit = c < 128 and 0 or c
  local users = check_pieces(text, true, limit, sizes)[1]
  for _, user in ipairs(users or {}) do
    for _, name in ipairs(REQUIRED) do assert(user[name] ~= nil, name) end
    assert(type(user.email) == "string" and math.type(user.num_wallboxes) == "integer")
    assert(user.latitude == nil or math.type(user.latitude) == "float")
  end
  check_pieces(text, false, limit, sizes)
  local agreed, problem = oracle.compare_users(text, sizes, c % 2 == 0)
  if agreed == nil then error(problem) end
  local state = a + b * 256 + c * 65536
  local function random(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state // 65536 % n + 1
  end
  local validate = random(2) == 1
  local part = oracle.random_part(decoder.decode(text, validate) or {}, random)
  agreed, problem = oracle.compare_part(text, validate, sizes, c % 2 == 0, part)
  if agreed == nil then error(problem) end
end
