--- Links that keep what the visitor asked for. If that includes a text to search for, a link is the button of a form
-- that is sent by POST: see site/query.lua.

local page = require "site.page"

local links = {}

local NAMES = { "role", "q", "sort", "page" }

--- Returns the parameters with changes; false removes one. `page` is kept only if it is among the changes.
function links.changed(query, changes)
  local parameters = {}
  for _, name in ipairs(NAMES) do
    local value = changes[name]
    if value == nil and name ~= "page" then value = query[name] end
    parameters[name] = value or nil
  end
  return parameters
end

--- Returns hidden fields of a form for the parameters, except the one named `without`.
function links.hidden(parameters, without)
  local fields = {}
  for _, name in ipairs(NAMES) do
    if parameters[name] and name ~= without then
      fields[#fields + 1] = page.fill('<input type="hidden" name="{{name}}" value="{{value}}">',
        { name = name, value = parameters[name] })
    end
  end
  return page.html(table.concat(fields))
end

local function url_of(action, parameters)
  local pairs_of_it = {}
  for _, name in ipairs(NAMES) do
    local value = parameters[name]
    if value then pairs_of_it[#pairs_of_it + 1] = name .. "=" .. ngx.escape_uri(value) end
  end
  return #pairs_of_it > 0 and action .. "?" .. table.concat(pairs_of_it, "&") or action
end

local LINK = '<a href="{{url}}"{{attributes}}>{{label}}</a>'
local FORM = '<form method="post" action="{{action}}">{{fields}}<button{{attributes}}>{{label}}</button></form>'

--- Returns a link as HTML. `label`: a text, or HTML that page.html has marked. `attributes`: HTML, such as
-- ' class="tile"'.
function links.to(action, parameters, label, attributes)
  local values = { label = label, attributes = page.html(attributes or "") }
  if parameters.q then
    values.action, values.fields = action, links.hidden(parameters)
    return page.html(page.fill(FORM, values))
  end
  values.url = url_of(action, parameters)
  return page.html(page.fill(LINK, values))
end

return links
