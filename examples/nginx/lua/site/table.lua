--- Users as a table, which the style sheet turns into cards on narrow screens. The attributes `role` are for browsers,
-- which no longer treat a table as one if its rows are shown as blocks.

local links = require "site.links"
local order = require "site.order"
local page = require "site.page"
local podero = require "podero"
local text = require "site.text"

local table_of = {}

local LONGEST_TEXT = 200 -- bytes of a cell

--- Fields, and the names of one and of several devices of a kind.
table_of.DEVICES = {
  { "num_heat_pumps", "heat pump", "heat pumps" }, { "num_electric_vehicles", "EV", "EVs" },
  { "num_wallboxes", "wallbox", "wallboxes" }, { "num_inverters", "inverter", "inverters" },
}

local TEXTS = { "first_name", "last_name", "email", "role", "external_user_id", "zip_code", "town", "last_login" }

--- The fields of a user that are needed.
table_of.FIELDS = {}
for _, field in ipairs(TEXTS) do table.insert(table_of.FIELDS, field) end
for _, device in ipairs(table_of.DEVICES) do table.insert(table_of.FIELDS, device[1]) end

--- Returns how many devices of a kind a user has, limited so that an impossible number does not spoil the sum.
function table_of.number_of(user, field)
  return math.max(0, math.min(user[field], 1e6))
end

--- Returns the part of a user that is shown.
function table_of.excerpt(user)
  local kept = {}
  for _, field in ipairs(TEXTS) do kept[field] = user[field] and text.cut(user[field], LONGEST_TEXT) end
  for _, device in ipairs(table_of.DEVICES) do kept[device[1]] = table_of.number_of(user, device[1]) end
  return kept
end

-- rows ----------------------------------------------------------------------------------------------------------------

local function devices_of(user)
  local texts = {}
  for _, device in ipairs(table_of.DEVICES) do
    local count = user[device[1]]
    if count > 0 then texts[#texts + 1] = text.counted(count, device[2], device[3]) end
  end
  return #texts > 0 and "<span>" .. table.concat(texts, ", ") .. "</span>" or nil
end

local function last_login(user)
  local seconds = user.last_login and podero.time(user.last_login)
  if not seconds then return nil end
  return page.fill('<time datetime="{{exact}}">{{short}}</time>', {
    exact = user.last_login, short = os.date("!%Y-%m-%d %H:%M", math.floor(seconds)),
  })
end

local function cell(label, html)
  return page.html(page.fill('<td role="cell" data-label="{{label}}"{{class}}>{{html}}</td>', {
    label = label, class = page.html((html or "") == "" and ' class="empty"' or ""), html = page.html(html or ""),
  }))
end

-- <bdi>: text that is written from right to left, and marks that change the direction, have no effect outside of it.
local function isolated(value)
  return value and value ~= "" and "<bdi>" .. page.escape(value) .. "</bdi>" or nil
end

--- Returns a text as HTML in which a line may end before "@".
local function breakable(value)
  return page.html((page.escape(value):gsub("@", "<wbr>@")))
end

local ROW = [[
<tr role="row"><th role="rowheader" scope="row"><bdi class="title">{{title}}</bdi>{{email}}</th>
{{role}}{{external}}{{town}}{{devices}}{{login}}</tr>
]]

local function row(user)
  local title = order.title(user)
  return page.fill(ROW, {
    title = breakable(title),
    email = title ~= user.email
      and page.html('<div class="muted"><bdi>' .. breakable(user.email).html .. "</bdi></div>") or "",
    role = cell("Role", page.fill('<span class="badge {{role}}">{{role}}</span>', user)),
    external = cell("External id", isolated(user.external_user_id)),
    town = cell("Town", isolated(text.joined(user.zip_code, user.town))),
    devices = cell("Devices", devices_of(user)),
    login = cell("Last login (UTC)", last_login(user)),
  })
end

-- table ---------------------------------------------------------------------------------------------------------------

-- Class, label, and, if the label is a link, the order that it leads to first.
local COLUMNS = {
  { "name", "Name", "name" }, { "role", "Role", "role" }, { "external", "External id" }, { "town", "Town" },
  { "devices", "Devices" }, { "login", "Last login (UTC)", "-last_login" },
}

local HEADER = '<th role="columnheader" scope="col" class="{{class}}"{{sorted}}>{{label}}</th>'

local function reversed(sort)
  return sort:find "^%-" and sort:sub(2) or "-" .. sort
end

local function header(column, asked)
  local class, label, sort = column[1], column[2], column[3]
  if not sort then return page.fill(HEADER, { class = class, sorted = "", label = label }) end
  local is_first, is_reversed = asked.sort == sort, asked.sort == reversed(sort)
  local sorted, mark = "", ""
  if is_first or is_reversed then
    local descending = asked.sort:find "^%-" ~= nil
    sorted = page.html((' aria-sort="%s"'):format(descending and "descending" or "ascending"))
    mark = page.html((' <span aria-hidden="true">%s</span>'):format(descending and "▼" or "▲"))
  end
  local link = links.to("roster", links.changed(asked, { sort = is_first and reversed(sort) or sort }),
    page.html(page.fill("{{label}}{{mark}}", { label = label, mark = mark })), ' class="plain"')
  return page.fill(HEADER, { class = class, sorted = sorted, label = link })
end

local TABLE = [[
<table role="table">
<caption class="unseen">Users of the organization</caption>
<thead role="rowgroup"><tr role="row">{{headers}}</tr></thead>
<tbody role="rowgroup">
{{rows}}</tbody>
</table>
]]

--- The table as HTML. `asked`: see site/query.lua.
function table_of.html(users, asked)
  local headers, rows = {}, {}
  for i, column in ipairs(COLUMNS) do headers[i] = header(column, asked) end
  for i, user in ipairs(users) do rows[i] = row(user) end
  return page.html(page.fill(TABLE, {
    headers = page.html(table.concat(headers)), rows = page.html(table.concat(rows)),
  }))
end

return table_of
