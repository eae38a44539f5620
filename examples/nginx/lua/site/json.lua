--- /orgs/<id>/users: those of the users that the request asks for, as a JSON array of what the API tells of each.

local users_of = require "site.users"
local failure = require "site.failure"
local json = require "podero.command.json"
local query = require "site.query"
local stream = require "site.stream"

return function(org_id)
  local asked, refusal = query.of_request()
  if not asked then return failure.refuse(refusal) end
  -- A whole list, or an error: a program at the other end wants no half ones.
  local users, err = users_of.list(org_id, asked.role, asked.q)
  if not users then return failure.answer(err, asked) end
  ngx.header["Content-Type"] = "application/json"
  local out, separator = stream.new(), "["
  for _, user in ipairs(users) do
    local ok, problem = out:write(separator .. json.encode(user))
    if not ok then return failure.cut(problem) end
    separator = ",\n"
  end
  out:write(separator == "[" and "[]\n" or "]\n")
  return out:flush()
end
