-- Writes the users of an organization to a CSV file while they arrive: a list of any length takes a few megabytes of
-- memory. A line on standard error shows the progress.
--
--   lua5.4 examples/export_csv.lua ORGANIZATION_ID users.csv
--
-- The command `podero users --format csv` writes all fields, and no text that a spreadsheet reads as a formula.
local podero = require "podero"

local org_id, name = arg[1], arg[2]
if not name then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID FILE\n")
  os.exit(2)
end

local COLUMNS = { "id", "role", "email", "first_name", "last_name", "zip_code", "town", "num_wallboxes" }

-- RFC 4180: a value that needs quotes is in quotes, and quotes in it are doubled.
local function csv_line(values)
  for i, value in ipairs(values) do
    if value:find('[",\r\n]') then values[i] = '"' .. value:gsub('"', '""') .. '"' end
  end
  return table.concat(values, ",") .. "\r\n"
end

local client = assert(podero.new())
-- The file gets its name after everything was received: until then, an existing file is left unchanged. (The command
-- does more: it keeps the file's mode, follows links, and removes the temporary file when it is interrupted.)
local part = ("%s.%s.part"):format(name, tostring(COLUMNS):match("0x(%x+)") or os.time())
local file = assert(io.open(part, "wb"))

local ok, err = pcall(function()
  assert(file:write(table.concat(COLUMNS, ","), "\r\n"))
  local function on_progress(bytes, users)
    io.stderr:write(("\r%d users, %.1f MB"):format(users, bytes / 1e6))
  end
  for user in client:each_user(org_id, { on_progress = on_progress }) do
    local values = {}
    for i, column in ipairs(COLUMNS) do
      local value = user[column]
      values[i] = value == nil and "" or tostring(value)
    end
    assert(file:write(csv_line(values)))
  end
  assert(file:close()) -- the last bytes may not fit on the disk
  assert(os.rename(part, name))
end)

client:close()
io.stderr:write("\n")
if not ok then
  if io.type(file) == "file" then file:close() end
  os.remove(part) -- a part of a list looks like a whole one
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
