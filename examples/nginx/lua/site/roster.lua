--- /orgs/<id>/roster: the users as a page for people, a hundred at a time. Each page reads the list anew: it shows what
-- Podero has now, and this site keeps no personal data. Memory is bounded: only the users of the page are kept, or, if
-- the list is sorted, those up to the page; and of these only what is shown.

local failure = require "site.failure"
local links = require "site.links"
local order = require "site.order"
local page = require "site.page"
local podero = require "podero"
local query = require "site.query"
local table_of = require "site.table"
local text = require "site.text"
local users = require "site.users"

local PAGE_SIZE = 100

-- Role, and the names of one and of several users with it.
local ROLES = {
  { podero.Role.ADMIN, "admin", "admins" }, { podero.Role.STAFF, "staff", "staff" },
  { podero.Role.USER, "user", "users" }, { podero.Role.GUEST, "guest", "guests" },
}

local SORTS = {
  { "", "as Podero lists them" }, { "name", "name, A to Z" }, { "-name", "name, Z to A" },
  { "role", "role, admins first" }, { "-role", "role, guests first" },
  { "-last_login", "last login, newest first" }, { "last_login", "last login, oldest first" },
}

-- reading -------------------------------------------------------------------------------------------------------------

--- Returns an object with `add` and `take` that keeps the users of the page. `first`: the number of the first of them
-- among those that are found.
local function collector(asked, first)
  if asked.sort then
    local beginning = order.beginning(asked.sort, math.min(asked.page * PAGE_SIZE, order.MOST))
    return {
      add = function(_, user) beginning:add(user, table_of.excerpt) end,
      take = function() return beginning:from(first) end,
    }
  end
  local kept = {}
  return {
    add = function(_, user, number)
      if number >= first and number < first + PAGE_SIZE then kept[#kept + 1] = table_of.excerpt(user) end
    end,
    take = function() return kept end,
  }
end

--- Reads the list. Returns the `users` of the page; how many are `found`; how many there are in all roles (`total`),
-- and these by role and by device kind. Roles that the schema lacks are counted as "other".
local function read(org_id, asked)
  local roster = { total = 0, found = 0, first = (asked.page - 1) * PAGE_SIZE + 1, by_role = { other = 0 },
    by_device = {} }
  for _, role in ipairs(ROLES) do roster.by_role[role[1]] = 0 end
  for _, device in ipairs(table_of.DEVICES) do roster.by_device[device[1]] = 0 end
  local collected = collector(asked, roster.first)
  -- Without the role: users of all roles are counted.
  for user in users.each(org_id, nil, asked.q, table_of.FIELDS) do
    roster.total = roster.total + 1
    local role = roster.by_role[user.role] and user.role or "other"
    roster.by_role[role] = roster.by_role[role] + 1
    for _, device in ipairs(table_of.DEVICES) do
      local field = device[1]
      roster.by_device[field] = roster.by_device[field] + table_of.number_of(user, field)
    end
    if not asked.role or user.role == asked.role then
      roster.found = roster.found + 1
      collected:add(user, roster.found)
    end
  end
  roster.users = collected.take()
  return roster
end

-- counts --------------------------------------------------------------------------------------------------------------

local COUNT = '<b>{{count}}</b> <span>{{mark}}{{name}}</span>'
local MARK = page.html '<span aria-hidden="true">✓ </span>'

--- Returns a tile with a count. `role`: the role that it leads to, false for all.
local function tile(asked, role, count, name)
  local is_on = (asked.role or false) == role
  local label = page.html(page.fill(COUNT, { count = text.grouped(count), name = name, mark = is_on and MARK or "" }))
  local attributes = ' class="tile"' .. (is_on and ' aria-current="true"' or "")
  return links.to("roster", links.changed(asked, { role = role }), label, attributes)
end

local function item(html)
  return "<li>" .. html .. "</li>\n"
end

local function tiles(roster, asked)
  local items = { item(tile(asked, false, roster.total, "all").html) }
  for _, role in ipairs(ROLES) do
    local count = roster.by_role[role[1]]
    items[#items + 1] = item(tile(asked, role[1], count, count == 1 and role[2] or role[3]).html)
  end
  local others = roster.by_role.other
  if others > 0 then
    items[#items + 1] = item('<div class="tile">' .. page.fill(COUNT, {
      count = text.grouped(others), name = others == 1 and "other" or "others", mark = "",
    }) .. "</div>")
  end
  return page.html(table.concat(items))
end

local function devices(roster)
  local items = {}
  for _, device in ipairs(table_of.DEVICES) do
    local count = roster.by_device[device[1]]
    items[#items + 1] = item(page.fill("<b>{{count}}</b> {{name}}", {
      count = text.grouped(count), name = count == 1 and device[2] or device[3],
    }))
  end
  return page.html(table.concat(items))
end

-- search --------------------------------------------------------------------------------------------------------------

--- Returns the options of a <select>; the one with the value `selected` is selected.
local function options(list, selected)
  local items = {}
  for i, option in ipairs(list) do
    items[i] = page.fill('<option value="{{value}}"{{selected}}>{{label}}</option>', {
      value = option[1], label = option[2], selected = page.html(option[1] == (selected or "") and " selected" or ""),
    })
  end
  return page.html(table.concat(items))
end

local function roles(asked)
  local list, known = { { "", "all" } }, not asked.role
  for _, role in ipairs(ROLES) do
    list[#list + 1] = { role[1], role[1] }
    known = known or asked.role == role[1]
  end
  if not known then list[#list + 1] = { asked.role, asked.role } end
  return options(list, asked.role)
end

local SEARCH = [[
<form class="search" method="post" action="roster" role="search">
<label>Search <input type="search" name="q" value="{{q}}" maxlength="{{longest}}"
  placeholder="E-mail, name or external id"></label>
<label>Role <select name="role">{{roles}}</select></label>
<label>Sort by <select name="sort">{{sorts}}</select></label>
<button>Show</button>
</form>
]]

local function search(asked)
  return page.html(page.fill(SEARCH, {
    q = asked.q or "", longest = query.LONGEST, roles = roles(asked), sorts = options(SORTS, asked.sort),
  }))
end

-- what was found ------------------------------------------------------------------------------------------------------

local function quoted(q)
  return "“<bdi>" .. page.escape(q) .. "</bdi>”"
end

--- Returns "6 of 120 users", "1 user matches “gruber”" or "2 of the 5 users who match “gruber”", as HTML.
local function found(roster, asked)
  local sentence
  if asked.q and asked.role then
    local all = text.counted(roster.total, "user who matches ", "users who match ")
    sentence = text.grouped(roster.found) .. " of the " .. all .. quoted(asked.q)
  elseif asked.q then
    sentence = text.counted(roster.found, "user matches ", "users match ") .. quoted(asked.q)
  elseif asked.role then
    sentence = text.grouped(roster.found) .. " of " .. text.counted(roster.total, "user", "users")
  else
    sentence = text.counted(roster.total, "user", "users")
  end
  if roster.found > PAGE_SIZE then
    sentence = ("%s, %s to %s shown"):format(sentence, text.grouped(roster.first),
      text.grouped(roster.first + #roster.users - 1))
  end
  return page.html(sentence)
end

--- Returns why there is nobody to show, as HTML.
local function nobody(asked)
  local role = asked.role and " with the role “" .. page.escape(asked.role) .. "”" or ""
  if asked.q then return page.html("No user" .. role .. " matches " .. quoted(asked.q) .. ".") end
  if asked.role then return page.html("There is no user" .. role .. ".") end
  return page.html "This organization has no users yet."
end

local FOUND = [[
<div class="found"><p role="status">{{found}}</p>{{clear}}{{download}}</div>
{{table}}{{pager}}]]

local NONE = [[
<div class="none"><p role="status">{{sentence}}</p>{{clear}}</div>
]]

--- Returns a link to the same page without the filter; "" if there is no filter.
local function clear(asked)
  if not asked.q and not asked.role then return "" end
  return links.to("roster", links.changed(asked, { q = false, role = false }), "Clear the filter", ' class="plain"')
end

-- pages ---------------------------------------------------------------------------------------------------------------

--- Returns how many pages there are, and whether they end before the list does.
local function pages_of(roster, asked)
  local reachable = asked.sort and math.min(roster.found, order.MOST) or roster.found
  return math.max(1, math.ceil(reachable / PAGE_SIZE)), reachable < roster.found
end

local PAGER = [[
<nav class="pages" aria-label="Pages">
{{first}}{{previous}}<form class="jump" method="{{method}}" action="roster">{{fields}}
<label for="page">Page</label> <input id="page" type="number" name="page" value="{{page}}" min="1" max="{{last_page}}"
  required> <span>of {{pages}}</span> <button>Go</button></form>
{{next}}{{last}}</nav>
]]

local CAPPED = [[
<p class="muted">Pages of a sorted list end with the first {{most}}. To find others, search or sort the other way
round; the download has all.</p>
]]

local function pager(roster, asked)
  local pages, capped = pages_of(roster, asked)
  if pages == 1 then return "" end
  local function to(number, label, wanted)
    if not wanted then return page.html(page.fill('<span class="off">{{label}}</span>\n', { label = label })) end
    return page.html(links.to("roster", links.changed(asked, { page = number > 1 and number }), label,
      ' class="plain"').html .. "\n")
  end
  local html = page.fill(PAGER, {
    first = to(1, "First", asked.page > 1), previous = to(asked.page - 1, "Previous", asked.page > 1),
    next = to(asked.page + 1, "Next", asked.page < pages), last = to(pages, "Last", asked.page < pages),
    method = asked.q and "post" or "get", fields = links.hidden(links.changed(asked, {})),
    page = asked.page, last_page = pages, pages = text.grouped(pages),
  })
  return page.html(html .. (capped and page.fill(CAPPED, { most = text.grouped(order.MOST) }) or ""))
end

-- page ----------------------------------------------------------------------------------------------------------------

local BODY = [[
<main>
<h1>Users</h1>
<p class="muted">Organization <span class="mono">{{org_id}}</span> · <a href="/">Choose another</a></p>
<nav aria-label="Roles"><ul class="tiles">
{{tiles}}</ul></nav>
<ul class="owned" aria-label="Devices">
{{devices}}</ul>
{{search}}{{list}}<p class="muted read">As of {{now}} UTC.</p>
</main>
]]

local function list(roster, asked)
  if roster.found == 0 then
    return page.html(page.fill(NONE, { sentence = nobody(asked), clear = clear(asked) }))
  end
  return page.html(page.fill(FOUND, {
    found = found(roster, asked), clear = clear(asked),
    download = links.to("users.csv", { role = asked.role, q = asked.q }, "Download as CSV", ' class="plain"'),
    table = table_of.html(roster.users, asked), pager = pager(roster, asked),
  }))
end

--- Returns the title, such as "Admins, page 2 – 016b78a7-…". What people search for is personal data, and stays out of
-- the browser's history.
local function title(org_id, asked)
  local what = asked.q and "Search" or "Users"
  for _, role in ipairs(ROLES) do
    if asked.role == role[1] then what = (asked.q and "Search in " or "") .. role[3] end
  end
  what = what:gsub("^%l", string.upper)
  if asked.page > 1 then what = what .. ", page " .. text.grouped(asked.page) end
  return what .. " – " .. org_id
end

local function missing_page(roster, asked)
  local pages = pages_of(roster, asked)
  return failure.send(404, "There is no page " .. text.grouped(asked.page),
    ("The last one is page %s."):format(text.grouped(pages)), true,
    page.html('<div class="ways">' .. links.to("roster", links.changed(asked, { page = pages > 1 and pages }),
      "To the last page").html .. "</div>\n"))
end

return function(org_id)
  local asked, refusal = query.of_request()
  if not asked then return failure.refuse(refusal, true) end
  local ok, roster = pcall(read, org_id, asked)
  if not ok then return failure.answer(roster, asked, true) end
  if asked.page > pages_of(roster, asked) then return missing_page(roster, asked) end
  return page.send(title(org_id, asked), page.fill(BODY, {
    org_id = org_id, tiles = tiles(roster, asked), devices = devices(roster), search = search(asked),
    list = list(roster, asked), now = os.date "!%Y-%m-%d %H:%M",
  }))
end
