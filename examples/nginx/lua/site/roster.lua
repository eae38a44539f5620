--- GET /orgs/<id>/roster: the users as a page for people, and on top what the whole organization has. Of a long list
-- only the users that are shown are kept.

local client = require "site.client"
local failure = require "site.failure"
local filter = require "site.filter"
local page = require "site.page"
local podero = require "podero"

local SHOWN = 500

local ROLES = {
  { podero.Role.ADMIN, "admins" }, { podero.Role.STAFF, "staff" }, { podero.Role.USER, "users" },
  { podero.Role.GUEST, "guests" },
}

local DEVICES = {
  { "num_heat_pumps", "heat pumps", "heat pump" }, { "num_electric_vehicles", "EVs", "EV" },
  { "num_wallboxes", "wallboxes", "wallbox" }, { "num_inverters", "inverters", "inverter" },
}

--- Reads the list: `total`, counts `by_role` and `by_device`, how many the filter has `found`, and the first of these.
local function read(org_id, wanted)
  local roster = { total = 0, found = 0, by_role = {}, by_device = {}, users = {} }
  for user in client:each_user(org_id) do
    roster.total = roster.total + 1
    roster.by_role[user.role] = (roster.by_role[user.role] or 0) + 1
    for _, device in ipairs(DEVICES) do
      local field = device[1]
      roster.by_device[field] = (roster.by_device[field] or 0) + user[field]
    end
    if wanted.wants(user) then
      roster.found = roster.found + 1
      if roster.found <= SHOWN then roster.users[roster.found] = user end
    end
  end
  return roster
end

--- The query of a link that leads to this filter.
local function query(role, q)
  local parameters = ngx.encode_args { role = role, q = q }
  return parameters ~= "" and "?" .. parameters or "?"
end

local function counts(roster, wanted)
  local items = {}
  for _, role in ipairs(ROLES) do
    local chosen = wanted.role == role[1]
    items[#items + 1] = page.fill(
      '<li class="{{class}}"><a href="{{link}}"><b>{{count}}</b> <span>{{name}}</span></a></li>\n', {
        class = chosen and "chosen" or "", link = query(not chosen and role[1] or nil, wanted.q),
        count = roster.by_role[role[1]] or 0, name = role[2],
      })
  end
  for _, device in ipairs(DEVICES) do
    items[#items + 1] = page.fill('<li><div><b>{{count}}</b> <span>{{name}}</span></div></li>\n', {
      count = roster.by_device[device[1]] or 0, name = device[2],
    })
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
    local text = select(i, ...)
    if text and text ~= "" then texts[#texts + 1] = text end
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
<form method="get" role="search">
<input type="search" name="q" value="{{q}}" placeholder="E-mail, name or external id" aria-label="Search">
<select name="role" aria-label="Role">{{options}}</select>
<button>Filter</button>
</form>
<p class="found"><span>{{found}}</span> <a href="users.csv{{query}}">Download as CSV</a></p>
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
  local text = ("%d of %d users"):format(roster.found, roster.total)
  return roster.found <= SHOWN and text or ("%s, of which the first %d are shown"):format(text, SHOWN)
end

return function(org_id)
  local wanted = filter.of_request()
  local ok, roster = pcall(read, org_id, wanted)
  if not ok then return failure.answer(roster, true) end
  return page.send("Users", page.fill(BODY, {
    org_id = org_id,
    counts = counts(roster, wanted),
    options = options(wanted),
    q = wanted.q or "",
    query = query(wanted.role, wanted.q),
    found = found(roster),
    table = page.html(roster.found > 0 and page.fill(TABLE, { rows = rows(roster.users) }) or ""),
  }))
end
