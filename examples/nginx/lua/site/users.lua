--- The users that a request asks for. The API has no filters: the client filters while it reads the list.

local client = require "site.client"

local users = {}

-- `where` takes any role, also one that Podero adds later. The option `role` takes those of the schema only.
local function of_role(role)
  return role and { role = role } or nil
end

--- Returns an iterator. `role` and `q`, a text in e-mail, names or external id: see site/query.lua; nil is no filter.
-- `fields`: those that are needed of each user; nil is all.
function users.each(org_id, role, q, fields)
  return client:each_user(org_id, { where = of_role(role), search = q, fields = fields })
end

--- Returns an array; nil and the error if the list is not whole.
function users.list(org_id, role, q)
  return client:list_users(org_id, { where = of_role(role), search = q, max_response_bytes = 64 * 1024 * 1024 })
end

return users
