--- /orgs/<id>/users.csv: those of the users that the filter wants, as CSV (RFC 4180), while they arrive:
-- a list of any length takes no more memory than a short one.

local client = require "site.client"
local failure = require "site.failure"
local filter = require "site.filter"
local stream = require "site.stream"
local text = require "site.text"

local COLUMNS = {
  "id", "organization_id", "external_user_id", "role", "email", "first_name", "last_name", "is_onboarded",
  "street_and_number", "street_add_info", "zip_code", "town", "country", "latitude", "longitude", "last_login",
  "num_inverters", "num_heat_pumps", "num_electric_vehicles", "num_wallboxes", "joined_at",
}

-- What makes a spreadsheet take a text for a formula (OWASP, "CSV Injection"), in full width too: "＝", "＋", "－", "＠".
local FORMULA, WIDE_FORMULA = "^[=+%-@\t\r\n]", "^\239\188[\139\141\157\160]"

--- One field. A text that would be run as a formula is preceded by an apostrophe; numbers are no texts, and -9.139337
-- is a longitude.
local function field(value)
  if value == nil then return "" end
  if type(value) == "number" then return text.number(value) end
  if type(value) ~= "string" then return tostring(value) end
  if value:find(FORMULA) or value:find(WIDE_FORMULA) then value = "'" .. value end
  if value:find("[\",\r\n]") then value = "\"" .. value:gsub("\"", "\"\"") .. "\"" end
  return value
end

local function line(user)
  local fields = {}
  for i, name in ipairs(COLUMNS) do fields[i] = field(user[name]) end
  return table.concat(fields, ",") .. "\r\n"
end

--- The head of the answer, and the first line.
local function begin(org_id)
  ngx.header["Content-Type"] = "text/csv; charset=utf-8; header=present"
  ngx.header["Content-Disposition"] = ("attachment; filename=\"users-%s.csv\""):format(org_id)
  local out = stream.new()
  out:write(table.concat(COLUMNS, ",") .. "\r\n")
  return out
end

return function(org_id)
  local wanted, refusal = filter.of_request()
  if not wanted then return failure.refuse(refusal) end
  -- Nothing is sent before the first user is there: until then an error has a status of its own.
  local out
  local ok, err = pcall(function()
    for user in client:each_user(org_id) do
      out = out or begin(org_id)
      if ngx.req.get_method() == "HEAD" then return end
      if wanted.wants(user) then assert(out:write(line(user))) end
    end
  end)
  if not ok then return out and failure.cut(err) or failure.answer(err) end
  out = out or begin(org_id)
  return out:flush()
end
