--- /orgs/<id>/users: the users that the request asks for, as a JSON array with all fields that the API sends.

local failure = require "site.failure"
local query = require "site.query"
local rows = require "podero.command.rows"
local stream = require "site.stream"
local users = require "site.users"

return function(org_id)
  local asked, refusal = query.of_request()
  if not asked then return failure.refuse(refusal) end
  -- The whole list is read first: a program gets all of it, or an error.
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
