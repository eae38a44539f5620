--- Which users a visitor wants to see: `role` and `q`, as in Podero's own back office. The API has no filters. `q` is
-- what people search for, names and e-mail addresses: it travels in the body of a POST and never in a URL, because
-- nginx puts the URL of a request into each line of its error log, and so do proxies and browsers into theirs.

local text = require "site.text"

local filter = {}

-- Characters of a value, of three bytes at most in a browser's way of counting; a longer one is refused. That bounds
-- what a search costs: at worst this times the length of what is searched.
filter.LONGEST = 200
local LONGEST_BYTES = 3 * filter.LONGEST

local MOST_PARAMETERS = 20

local REFUSALS = {
  url = "Search by POST, as the form on the page does: URLs end up in logs.",
  form = "Send the parameters as application/x-www-form-urlencoded.",
  many = "These are too many parameters.",
  long = ("A parameter has at most %d characters."):format(filter.LONGEST),
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

--- Whether a user has the text in e-mail, names (one or both) or external id.
local function has(user, folded)
  local name = (user.first_name or "") .. " " .. (user.last_name or "")
  local searched = user.email .. "\n" .. name .. "\n" .. (user.external_user_id or "")
  return text.fold(searched):find(folded, 1, true) ~= nil
end

--- The filter that the request asks for: `role` and `q` as they were given, and `wants(user)`. Nil and a sentence for
-- the visitor if it cannot be used.
function filter.of_request()
  local parameters, err = given()
  if not parameters then return nil, err end
  local self = { role = parameter(parameters.role), q = parameter(parameters.q) }
  if #(self.role or "") > LONGEST_BYTES or #(self.q or "") > LONGEST_BYTES then return nil, REFUSALS.long end
  local folded = self.q and text.fold(self.q)
  function self.wants(user)
    return (not self.role or user.role == self.role) and (not folded or has(user, folded))
  end
  return self
end

return filter
