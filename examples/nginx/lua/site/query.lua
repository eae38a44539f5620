--- What a visitor wants to see: `role`, `q`, a text to search for, `sort` and `page`. `q` is what people search for,
-- names and e-mail addresses: it travels in the body of a POST and never in a URL, because nginx puts the URL of a
-- request into each line of its error log, and so do proxies and browsers into theirs.

local order = require "site.order"
local text = require "site.text"

local query = {}

-- Characters of a value, of three bytes at most in a browser's way of counting; a longer one is refused.
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

--- The parameters of a form in the body; nil and a reason if it is none.
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

--- The parameters of the URL and of a form; the form's count if both have one.
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

--- The text of a parameter; nil if it is not there or empty. Of several with one name the first counts.
local function parameter(value)
  if type(value) == "table" then value = value[1] end
  value = type(value) == "string" and text.trim(value)
  return value ~= "" and value or nil
end

--- What the request asks for: `role`, `q` and `sort`, nil if it asks for none, and the number `page`. Nil and a
-- sentence for the visitor if it cannot be used.
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
