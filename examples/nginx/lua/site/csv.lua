--- /orgs/<id>/users.csv: those of the users that the request asks for, as CSV (RFC 4180), while they arrive: a list of
-- any length takes no more memory than a short one. The lines are those of the command `podero`.

local csv = require "podero.command.csv"
local failure = require "site.failure"
local query = require "site.query"
local stream = require "site.stream"
local users = require "site.users"

--- The head of the answer, and the first line.
local function begin(org_id)
  ngx.header["Content-Type"] = "text/csv; charset=utf-8; header=present"
  ngx.header["Content-Disposition"] = ("attachment; filename=\"users-%s.csv\""):format(org_id)
  local out = stream.new()
  out:write(csv.header())
  return out
end

return function(org_id)
  local asked, refusal = query.of_request()
  if not asked then return failure.refuse(refusal) end
  -- Nothing is sent before the first user is there: until then an error has a status of its own, and a page if it is a
  -- person who reads it.
  local out
  local ok, err = pcall(function()
    for user in users.each(org_id, asked.role, asked.q) do
      out = out or begin(org_id)
      if ngx.req.get_method() == "HEAD" then return end
      assert(out:write(csv.user(user)))
    end
  end)
  if not ok then return out and failure.cut(err) or failure.answer(err, asked) end
  out = out or begin(org_id)
  return out:flush()
end
