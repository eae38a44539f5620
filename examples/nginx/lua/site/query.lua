--- The parameters of a request: `role`, `q`, a text to search for, `sort` and `page`. People search for names and
-- e-mail addresses: so `q` is in the body of a POST and never in a URL, because nginx, proxies and browsers log URLs.

local order = require "site.order"
local text = require "site.text"

local query = {}

-- Characters of a value, as browsers count them: each has three bytes at most.
query.LONGEST = 200
local LONGEST_BYTES = 3 * query.LONGEST

local MOST_PARAMETERS = 20

local REFUSALS = {
  url = "Search by POST, as the form on the page does: URLs end up in logs.",
  form = "Send the parameters as application/x-www-form-urlencoded.",
  many = "These are too many parameters.",
  long = ("A parameter has at most %d characters."):format(query.LONGEST),
  page = "There is no such page: pages are numbered from 1.",
  sort = "There is no such order: sort by name, role or last_login, with a minus before it for the other way round.",
}

--- Returns the parameters of a form in the body; nil and a reason if the body is no form.
local function form()
  ngx.req.read_body()
  if ngx.req.get_body_file() then return nil, REFUSALS.many end
  if (ngx.req.get_body_data() or "") == "" then return {} end
  local media = (ngx.var.content_type or ""):lower():match "^[^;%s]*"
  if media ~= "application/x-www-form-urlencoded" then return nil, REFUSALS.form end
  local parameters, err = ngx.req.get_post_args(MOST_PARAMETERS)
  if err then return nil, REFUSALS.many end
  return parameters
end

--- Returns the parameters of the URL and of a form. If both have one, that of the form is used.
local function given()
  local parameters, err = ngx.req.get_uri_args(MOST_PARAMETERS)
  if err then return nil, REFUSALS.many end
  if parameters.q ~= nil then return nil, REFUSALS.url end
  if ngx.req.get_method() ~= "POST" then return parameters end
  local posted
  posted, err = form()
  if not posted then return nil, err end
  for name, value in pairs(posted) do parameters[name] = value end
  return parameters
end

--- Returns the text of a parameter; nil if it is absent or empty. Of a repeated parameter, the first value is used.
local function parameter(value)
  if type(value) == "table" then value = value[1] end
  value = type(value) == "string" and text.trim(value)
  return value ~= "" and value or nil
end

--- Returns a table with `role`, `q` and `sort`, which are nil if the request does not have them, and the number `page`;
-- nil and a sentence for the visitor if a parameter cannot be used.
function query.of_request()
  local parameters, err = given()
  if not parameters then return nil, err end
  local self = {}
  for _, name in ipairs { "role", "q", "sort", "page" } do
    self[name] = parameter(parameters[name])
    if #(self[name] or "") > LONGEST_BYTES then return nil, REFUSALS.long end
  end
  if self.sort and not order.exists(self.sort) then return nil, REFUSALS.sort end
  local page = self.page or "1"
  if not page:find "^[1-9]%d?%d?%d?%d?%d?%d?$" then return nil, REFUSALS.page end
  self.page = tonumber(page)
  return self
end

return query
