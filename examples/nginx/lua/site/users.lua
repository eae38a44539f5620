--- The users that a request asks for. The API has no filters; the client filters while it reads the list.

local client = require "site.client"

local users = {}

--- An iterator. `role` and `q`, a text in e-mail, names or external id: see site/query.lua; nil is no filter. `fields`:
-- what is needed of each user; nil is all.
function users.each(org_id, role, q, fields)
  return client:each_user(org_id, { role = role, search = q, fields = fields })
end

--- An array; nil and the error if the list is not whole.
function users.list(org_id, role, q)
  return client:list_users(org_id, { role = role, search = q, max_response_bytes = 64 * 1024 * 1024 })
end

return users
