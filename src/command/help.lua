--- The help of the command and of its parts, made from the declarations in commands.lua and options.lua.

local commands = require "podero.command.commands"
local options = require "podero.command.options"
local terminal = require "podero.command.terminal"
local text = require "podero.command.text"

local help = {}

local WIDEST, LEAST_TEXT = 100, 24 -- columns of a line; of the texts beside names
local NAMES = 26 -- columns of the names

-- lines ---------------------------------------------------------------------------------------------------------------

local Page = {}
Page.__index = Page

local function new_page(columns)
  return setmetatable({ width = math.min(columns, WIDEST), lines = {} }, Page)
end

--- Adds a line without wrapping it: people copy it.
function Page:line(line)
  self.lines[#self.lines + 1] = line
end

--- Adds a text. Its first line begins with `first`, the others with as many spaces.
function Page:wrap(first, content)
  local width = text.width(first)
  for i, line in ipairs(text.wrap(content, self.width - width)) do
    self:line((i == 1 and first or (" "):rep(width)) .. line)
  end
end

--- Adds a text beside a name, or below it if there is no room.
function Page:entry(name, content)
  local left = "  " .. name
  if self.width - NAMES < LEAST_TEXT then
    self:line(left)
    self:wrap("    ", content)
  elseif text.width(left) + 2 > NAMES then
    self:line(left)
    self:wrap((" "):rep(NAMES), content)
  else
    self:wrap(left .. (" "):rep(NAMES - text.width(left)), content)
  end
end

function Page:title(title)
  if #self.lines > 0 then self:line("") end
  if title then self:line(title) end
end

function Page:text()
  return table.concat(self.lines, "\n") .. "\n"
end

-- parts ---------------------------------------------------------------------------------------------------------------

local function option_name(one)
  local name = (one.short and one.short .. ", " or "") .. one.long
  return one.value and name .. " " .. one.value or name
end

local function option_text(one)
  if not one.choices then return one.help end
  return ("%s One of %s."):format(one.help, table.concat(one.choices, ", "))
end

local function add_groups(page, groups)
  for _, group in ipairs(groups) do
    page:title(group[1])
    for _, one in ipairs(group[2]) do page:entry(option_name(one), option_text(one)) end
  end
end

local function add_examples(page, examples)
  if not examples then return end
  page:title("Examples")
  for _, example in ipairs(examples) do
    page:wrap("  ", example[1] .. ":")
    page:line("    " .. example[2])
  end
end

local function connection_names()
  local names = {}
  for _, group in ipairs(options.CONNECTION) do
    for _, one in ipairs(group[2]) do names[#names + 1] = one.long end
  end
  return table.concat(names, ", ")
end

local CREDENTIALS = "Credentials are the variables PODERO_CLIENT_ID and PODERO_CLIENT_SECRET, or PODERO_USERNAME and "
  .. "PODERO_PASSWORD, or PODERO_ACCESS_TOKEN."

-- pages ---------------------------------------------------------------------------------------------------------------

local function overview(page)
  page:wrap("", "Lists users of organizations from Podero's Partner API.")
  page:title()
  page:line("Usage: podero COMMAND [OPTIONS] ...")
  page:title("Commands")
  for _, name in ipairs(commands.NAMES) do page:entry(name, commands.find(name).summary) end
  page:title("Options")
  for _, one in ipairs(options.GENERAL) do page:entry(option_name(one), one.help) end
  add_examples(page, {
    { "The staff of an organization", "podero users ORG_ID --role staff" },
    { "All users, into a spreadsheet", "podero users ORG_ID -o users.csv" },
    { "Find out what is wrong", "podero doctor ORG_ID" },
  })
  page:title()
  page:wrap("", CREDENTIALS)
  page:wrap("", "podero help COMMAND has more about a command, and man podero has everything.")
end

local function of_command(page, name)
  local command = commands.find(name)
  page:wrap("", command.summary)
  page:title()
  page:line("Usage: " .. commands.usage(name))
  if command.arguments and #command.arguments > 0 then page:title() end
  for _, one in ipairs(command.arguments or {}) do page:entry(one.name, option_text(one)) end
  add_groups(page, command.options or {})
  if command.asks then add_groups(page, options.COMMON) end
  add_examples(page, command.examples)
  if command.notes then
    page:title()
    page:wrap("", command.notes)
  end
  if not command.asks then return end
  page:title()
  page:wrap("", CREDENTIALS)
  page:wrap("", "Options for credentials and connections, which man podero describes: " .. connection_names() .. ".")
end

--- Returns the help of a command, or that of the whole program if `name` is nil, in lines of at most so many columns.
function help.text(name, columns)
  local page = new_page(columns)
  if name then of_command(page, name) else overview(page) end
  return page:text()
end

--- Returns how many columns a line of help may have.
function help.columns()
  return terminal.is_terminal(io.stdout) and terminal.columns(io.stdout) or 80
end

return help
