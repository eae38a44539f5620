--- /orgs/<id>/users: those of the users that the filter wants, as a JSON array of what the API tells of each.

local cjson = require "cjson"
local client = require "site.client"
local failure = require "site.failure"
local filter = require "site.filter"
local stream = require "site.stream"
local text = require "site.text"

--- A value as JSON: by lua-cjson, but for its numbers. An empty table is an object, as with lua-cjson.
local function encode(value)
  if type(value) == "number" then return text.number(value) end
  if type(value) ~= "table" then return cjson.encode(value) end
  local members = {}
  if value[1] ~= nil then
    for i, member in ipairs(value) do members[i] = encode(member) end
    return "[" .. table.concat(members, ",") .. "]"
  end
  for name, member in pairs(value) do members[#members + 1] = cjson.encode(name) .. ":" .. encode(member) end
  return "{" .. table.concat(members, ",") .. "}"
end

return function(org_id)
  local wanted, refusal = filter.of_request()
  if not wanted then return failure.refuse(refusal) end
  -- A whole list, or an error: a program at the other end wants no half ones.
  local users, err = client:list_users(org_id, { max_response_bytes = 64 * 1024 * 1024 })
  if not users then return failure.answer(err) end
  ngx.header["Content-Type"] = "application/json"
  local out, separator = stream.new(), "["
  for _, user in ipairs(users) do
    if wanted.wants(user) then
      local ok, problem = out:write(separator .. encode(user))
      if not ok then return failure.cut(problem) end
      separator = ",\n"
    end
  end
  out:write(separator == "[" and "[]\n" or "]\n")
  return out:flush()
end
