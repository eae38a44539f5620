--- /orgs/<id>/users.csv: the users that the request asks for, as CSV (RFC 4180). They are sent while they arrive: a
-- long list takes no more memory than a short one. The lines are those of the command `podero`.

local failure = require "site.failure"
local query = require "site.query"
local rows = require "podero.command.rows"
local stream = require "site.stream"
local users = require "site.users"

--- Sends the header of the response, and the first line.
local function begin(org_id, writer)
  ngx.header["Content-Type"] = "text/csv; charset=utf-8; header=present"
  ngx.header["Content-Disposition"] = ("attachment; filename=\"users-%s.csv\""):format(org_id)
  local out = stream.new()
  out:write(writer:take())
  return out
end

return function(org_id)
  local asked, refusal = query.of_request()
  if not asked then return failure.refuse(refusal) end
  -- Nothing is sent before the first user has arrived: until then an error can have its own status, and a page for
  -- people.
  local writer, out, each = rows.csv {}, nil, nil
  local ok, err = pcall(function()
    each = users.each(org_id, asked.role, asked.q)
    for user in each do
      out = out or begin(org_id, writer)
      if ngx.req.get_method() == "HEAD" then return end
      writer:add(user)
      assert(out:write(writer:take()))
    end
  end)
  -- Ends the transfer if the visitor has gone away.
  if each then each:close() end
  if not ok then return out and failure.cut(err) or failure.answer(err, asked) end
  out = out or begin(org_id, writer)
  return out:flush()
end
