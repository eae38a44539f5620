-- Prints the users of an organization as a table.
--
--   lua5.4 examples/list_users.lua ORGANIZATION_ID [--include-deleted]
--
-- Credentials come from the environment: PODERO_CLIENT_ID and PODERO_CLIENT_SECRET, or
-- PODERO_USERNAME and PODERO_PASSWORD, or PODERO_ACCESS_TOKEN; and PODERO_BASE_URL for another
-- environment than production.
local podero = require "podero"

local org_id, flag = arg[1], arg[2]
if not org_id or (flag and flag ~= "--include-deleted") then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID [--include-deleted]\n")
  os.exit(2)
end

local ok, client, err = pcall(podero.new)
if not ok then client, err = nil, client end
local users
if client then
  users, err = client:list_users(org_id, { include_deleted = flag ~= nil })
  client:close()
end
if not users then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end

-- What people typed must not steer the terminal.
local function clean(text)
  return (text:gsub("[%z\1-\31\127]", "?"):gsub("\194[\128-\159]", "?"))
end

-- Columns on the screen, but for wide characters: code points, not bytes.
local function width(text)
  return #text:gsub("[\128-\191]", "")
end

local function devices(user)
  local kinds = {}
  for _, kind in ipairs {
    { user.num_heat_pumps, "heat pump", "heat pumps" },
    { user.num_wallboxes, "wallbox", "wallboxes" },
    { user.num_electric_vehicles, "EV", "EVs" },
    { user.num_inverters, "inverter", "inverters" },
  } do
    local count = kind[1]
    if count > 0 then kinds[#kinds + 1] = ("%d %s"):format(count, count == 1 and kind[2] or kind[3]) end
  end
  return #kinds > 0 and table.concat(kinds, ", ") or "-"
end

local function last_login(user)
  local seconds = user.last_login and podero.time(user.last_login)
  return seconds and os.date("!%Y-%m-%d %H:%M", math.floor(seconds)) or "-"
end

local rows = { { "ROLE", "NAME", "E-MAIL", "DEVICES", "LAST LOGIN (UTC)" } }
for _, user in ipairs(users) do
  local name = ((user.first_name or "") .. " " .. (user.last_name or "")):match "^%s*(.-)%s*$"
  rows[#rows + 1] = {
    user.role,
    name ~= "" and clean(name) or "-",
    clean(user.email),
    devices(user),
    last_login(user),
  }
end

local widths = {}
for _, row in ipairs(rows) do
  for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width(cell)) end
end
for _, row in ipairs(rows) do
  local cells = {}
  for i, cell in ipairs(row) do
    cells[i] = i < #row and cell .. (" "):rep(widths[i] - width(cell)) or cell
  end
  print(table.concat(cells, "  "))
end
print(("%d users"):format(#users))
