--- /orgs/<id>/users: those of the users that the request asks for, as a JSON array of what the API tells of each.

local failure = require "site.failure"
local query = require "site.query"
local rows = require "podero.command.rows"
local stream = require "site.stream"
local users = require "site.users"

return function(org_id)
  local asked, refusal = query.of_request()
  if not asked then return failure.refuse(refusal) end
  -- A whole list, or an error: a program at the other end wants no half ones.
  local list, err = users.list(org_id, asked.role, asked.q)
  if not list then return failure.answer(err, asked) end
  ngx.header["Content-Type"] = "application/json"
  local out, separator = stream.new(), "["
  for _, user in ipairs(list) do
    local ok, problem = out:write(separator .. rows.encode(user))
    if not ok then return failure.cut(problem) end
    separator = ",\n"
  end
  out:write(separator == "[" and "[]\n" or "]\n")
  return out:flush()
end
