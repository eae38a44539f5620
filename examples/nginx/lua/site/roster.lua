--- /orgs/<id>/roster: the users as a page for people, and on top what the whole organization has. Memory is bounded
-- whatever Podero sends: of a long list only the users that are shown are kept, and of these what is shown.

local client = require "site.client"
local failure = require "site.failure"
local filter = require "site.filter"
local page = require "site.page"
local podero = require "podero"
local text = require "site.text"

local SHOWN = 500
local LONGEST_TEXT = 200 -- bytes of a cell

local ROLES = {
  { podero.Role.ADMIN, "admins" }, { podero.Role.STAFF, "staff" }, { podero.Role.USER, "users" },
  { podero.Role.GUEST, "guests" },
}

local DEVICES = {
  { "num_heat_pumps", "heat pumps", "heat pump" }, { "num_electric_vehicles", "EVs", "EV" },
  { "num_wallboxes", "wallboxes", "wallbox" }, { "num_inverters", "inverters", "inverter" },
}

local TEXTS = { "first_name", "last_name", "email", "role", "external_user_id", "zip_code", "town", "last_login" }

--- How many devices of a kind a user has: what cannot be is no reason to show nonsense as a sum.
local function number_of(user, field)
  return math.max(0, math.min(user[field], 1e6))
end

--- What is shown of a user.
local function excerpt(user)
  local kept = {}
  for _, field in ipairs(TEXTS) do kept[field] = user[field] and text.cut(user[field], LONGEST_TEXT) end
  for _, device in ipairs(DEVICES) do kept[device[1]] = number_of(user, device[1]) end
  return kept
end

--- Reads the list: `total`, counts `by_role` and `by_device`, how many the filter has `found`, and the first of these.
-- Roles are texts that Podero's servers choose: all but the four are counted as "other".
local function read(org_id, wanted)
  local roster = { total = 0, found = 0, by_role = { other = 0 }, by_device = {}, users = {} }
  for _, role in ipairs(ROLES) do roster.by_role[role[1]] = 0 end
  for _, device in ipairs(DEVICES) do roster.by_device[device[1]] = 0 end
  for user in client:each_user(org_id) do
    roster.total = roster.total + 1
    local role = roster.by_role[user.role] and user.role or "other"
    roster.by_role[role] = roster.by_role[role] + 1
    for _, device in ipairs(DEVICES) do
      local field = device[1]
      roster.by_device[field] = roster.by_device[field] + number_of(user, field)
    end
    if wanted.wants(user) then
      roster.found = roster.found + 1
      if roster.found <= SHOWN then roster.users[roster.found] = excerpt(user) end
    end
  end
  return roster
end

--- A field of a form that people do not see; nothing if there is no value.
local function hidden(name, value)
  return value and page.fill('<input type="hidden" name="{{name}}" value="{{value}}">', { name = name, value = value })
    or ""
end

--- A button that leads to this filter: a link in all but what it sends, see site/filter.lua. `label`: HTML.
local function button(action, role, q, label)
  return page.fill('<form method="{{method}}" action="{{action}}">{{fields}}<button>{{label}}</button></form>', {
    method = q and "post" or "get", action = action, fields = page.html(hidden("role", role) .. hidden("q", q)),
    label = page.html(label),
  })
end

local function labelled(count, name)
  return page.fill("<b>{{count}}</b> <span>{{name}}</span>", { count = count, name = name })
end

local function counts(roster, wanted)
  local items = {}
  local function add(html, class)
    items[#items + 1] = page.fill('<li class="{{class}}">{{html}}</li>\n', { class = class, html = page.html(html) })
  end
  for _, role in ipairs(ROLES) do
    local chosen = wanted.role == role[1]
    local label = labelled(roster.by_role[role[1]], role[2])
    add(button("roster", not chosen and role[1] or nil, wanted.q, label), chosen and "chosen" or "")
  end
  if roster.by_role.other > 0 then add("<div>" .. labelled(roster.by_role.other, "others") .. "</div>", "") end
  for _, device in ipairs(DEVICES) do
    add("<div>" .. labelled(roster.by_device[device[1]], device[2]) .. "</div>", "")
  end
  return page.html(table.concat(items))
end

local function options(wanted)
  local items = { '<option value="">every role</option>' }
  for _, role in ipairs(ROLES) do
    items[#items + 1] = page.fill('<option{{selected}}>{{role}}</option>', {
      role = role[1], selected = page.html(wanted.role == role[1] and " selected" or ""),
    })
  end
  return page.html(table.concat(items))
end

-- U+00A0: a number stays with what it counts.
local DEVICE = "%d\194\160%s"

local function devices_of(user)
  local texts = {}
  for _, device in ipairs(DEVICES) do
    local count = user[device[1]]
    if count > 0 then texts[#texts + 1] = DEVICE:format(count, count == 1 and device[3] or device[2]) end
  end
  return table.concat(texts, ", ")
end

local function joined(...)
  local texts = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if value and value ~= "" then texts[#texts + 1] = value end
  end
  return table.concat(texts, " ")
end

local function last_login(user)
  local seconds = user.last_login and podero.time(user.last_login)
  if not seconds then return nil end
  return page.fill('<time datetime="{{exact}}">{{short}}</time>', {
    exact = user.last_login, short = os.date("!%Y-%m-%d %H:%M", math.floor(seconds)),
  })
end

local function cell(label, html)
  return page.fill('<td data-label="{{label}}"{{class}}>{{html}}</td>', {
    label = label, class = page.html((html or "") == "" and ' class="empty"' or ""), html = page.html(html or ""),
  })
end

-- <bdi>: a name written from right to left, or marks that turn text around, stay within it.
local ROW = [[
<tr><td><bdi>{{name}}</bdi> <div class="muted">{{email}}</div></td>
{{role}}{{external}}{{town}}{{devices}}{{login}}</tr>
]]

local function row(user)
  local name = joined(user.first_name, user.last_name)
  return page.fill(ROW, {
    name = name ~= "" and name or "—",
    email = user.email,
    role = page.html(cell("Role", page.fill('<span class="role {{role}}">{{role}}</span>', user))),
    external = page.html(cell("External id", page.escape(user.external_user_id or ""))),
    town = page.html(cell("Town", page.escape(joined(user.zip_code, user.town)))),
    devices = page.html(cell("Devices", devices_of(user))),
    login = page.html(cell("Last login", last_login(user))),
  })
end

local function rows(users)
  local texts = {}
  for i, user in ipairs(users) do texts[i] = row(user) end
  return page.html(table.concat(texts))
end

local BODY = [[
<main>
<h1>Users</h1>
<div class="muted mono">{{org_id}}</div>
<ul class="counts">
{{counts}}</ul>
<form class="search" method="post" action="roster" role="search">
<input type="search" name="q" value="{{q}}" maxlength="{{longest}}" placeholder="E-mail, name or external id"
  aria-label="Search">
<select name="role" aria-label="Role">{{options}}</select>
<button>Filter</button>
</form>
<div class="found"><span>{{found}}</span> {{download}}</div>
{{table}}</main>
]]

local TABLE = [[
<table>
<thead><tr><th>Name</th><th>Role</th><th>External id</th><th>Town</th><th>Devices</th><th>Last login (UTC)</th></tr>
</thead>
<tbody>
{{rows}}</tbody>
</table>
]]

local function found(roster)
  local sentence = ("%d of %d users"):format(roster.found, roster.total)
  return roster.found <= SHOWN and sentence or ("%s, of which the first %d are shown"):format(sentence, SHOWN)
end

return function(org_id)
  local wanted, refusal = filter.of_request()
  if not wanted then return failure.refuse(refusal, true) end
  local ok, roster = pcall(read, org_id, wanted)
  if not ok then return failure.answer(roster, true) end
  return page.send("Users", page.fill(BODY, {
    org_id = org_id,
    counts = counts(roster, wanted),
    options = options(wanted),
    q = wanted.q or "",
    longest = filter.LONGEST,
    found = found(roster),
    download = page.html(button("users.csv", wanted.role, wanted.q, "Download as CSV")),
    table = page.html(roster.found > 0 and page.fill(TABLE, { rows = rows(roster.users) }) or ""),
  }))
end
