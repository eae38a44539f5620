--- Selects users by role and text, as Podero's back office does. The API itself has no such filters.

local json = require "podero.command.json"
local text = require "podero.command.text"

local filter = {}

--- Returns a function that returns whether a user has one of the `roles` (an array, empty for any) and contains the
-- text `search`, in either case, in e-mail, names or external_user_id. Returns nil if all users are wanted.
function filter.new(roles, search)
  if #roles == 0 and not search then return nil end
  local wanted = {}
  for _, role in ipairs(roles) do wanted[role] = true end
  search = search and text.fold(search)
  return function(user)
    if #roles > 0 and not wanted[user.role] then return false end
    if not search then return true end
    local name = json.text(user.first_name) .. " " .. json.text(user.last_name)
    local searched = json.text(user.email) .. "\n" .. name .. "\n" .. json.text(user.external_user_id)
    return text.fold(searched):find(search, 1, true) ~= nil
  end
end

return filter
