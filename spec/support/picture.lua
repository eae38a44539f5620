--- The README's picture of the command on a terminal, with the mock Partner API. tools/picture.lua makes it, and
-- spec/picture_spec.lua compares it with the output of the command.

local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"

local picture = {}

local LARGE = "3f0c6a52-91d7-4b1e-a8c4-5d2e7f908b16"

picture.COLUMNS = 100

-- The commands, each of which is shown after a prompt and then run.
local TYPED = {
  "podero users $ORG --role admin --role staff",
  "podero users $LARGE_ORG --format ndjson --output users.ndjson",
  "podero token",
  "podero users 12345",
}

-- session -------------------------------------------------------------------------------------------------------------

local function session()
  local lines = {}
  for i, line in ipairs(TYPED) do
    lines[i] = ("printf '\\033[32m$\\033[0m %%s\\n' '%s'\n%s\n"):format(line, line)
  end
  return table.concat(lines)
end

--- Runs the commands on a terminal and returns all output. `podero(environment)` returns the shell command that runs
-- podero with these environment variables, which the shell has, too.
local function run(podero)
  local server = mock.start { tls = false }
  local folder = nginx.temporary_folder("podero-picture")
  local ok, problem = pcall(function()
    server:configure { organizations = { [mock.ORG] = { users = 60, seed = 17 }, [LARGE] = { users = 100000 } } }
    local variables = {
      PODERO_BASE_URL = server.url,
      PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
    }
    nginx.write_file(folder .. "/session.sh", ("stty cols %d rows 60\npodero() { %s \"$@\"; }\n%s"):format(
      picture.COLUMNS, podero(variables), session()))
    local environment = ("env -u COLUMNS -u LINES -u NO_COLOR TERM=xterm ORG=%s LARGE_ORG=%s"):format(mock.ORG, LARGE)
    for name, value in pairs(variables) do environment = ("%s %s=%s"):format(environment, name, value) end
    -- The last command has to fail.
    nginx.run(("cd %s && %s script -qec 'sh session.sh' /dev/null >screen </dev/null"):format(folder, environment))
  end)
  server:stop()
  local screen = nginx.read_file(folder .. "/screen")
  nginx.run("rm -r " .. nginx.quoted(folder))
  assert(ok, problem)
  return screen
end

-- terminal ------------------------------------------------------------------------------------------------------------

--- The effect of an escape sequence ("ESC [ parameters letter") on the style of text.
local function restyled(style, parameters)
  local new = { bold = style.bold, color = style.color }
  for digits in (parameters == "" and "0" or parameters):gmatch "%d+" do
    local code = tonumber(digits)
    if code == 0 then
      new = {}
    elseif code == 1 then
      new.bold = true
    elseif code == 22 then
      new.bold = nil
    elseif code == 2 then
      new.color = 8
    elseif code == 39 then
      new.color = nil
    elseif code >= 30 and code <= 37 then
      new.color = code - 30
    elseif code >= 90 and code <= 97 then
      new.color = code - 82
    end
  end
  return new
end

--- The lines on the terminal, each with its cells by column, `{ character, style }`.
local function shown(text)
  local rows, row, column, style, position = { {} }, 1, 1, {}, 1
  local function feed()
    row = row + 1
    rows[row] = rows[row] or {}
  end
  while position <= #text do
    local parameters, letter, stop = text:match("^\27%[([%d;?]*)(%a)()", position)
    local character = text:match("^[%z\1-\127\194-\244][\128-\191]*", position) or text:sub(position, position)
    if letter then
      if letter == "m" then style = restyled(style, parameters) end
      if letter == "K" then
        local first = parameters == "2" and 1 or column
        for i = first, picture.COLUMNS do rows[row][i] = nil end
      end
    elseif character == "\n" then
      feed()
    elseif character == "\r" then
      column = 1
    elseif character:byte() >= 32 then
      if column > picture.COLUMNS then
        feed()
        column = 1
      end
      rows[row][column] = { character, style }
      column = column + 1
    end
    position = stop or position + #character
  end
  return rows
end

--- A row's parts: text without two blanks in a row, in one style. Each has `column` (from 0), `text`, `width`, `style`.
local function parts_of(cells)
  local parts, part, blank = {}, nil, false
  for column = 1, picture.COLUMNS do
    local cell = cells[column]
    local is_blank = not cell or cell[1] == " "
    if is_blank then
      if blank or not cell then part = nil end
      blank = true
    else
      if part and part.style ~= cell[2] then part = nil end
      if not part then
        part = { column = column - 1, text = "", width = 0, style = cell[2] }
        parts[#parts + 1] = part
      elseif blank then
        part.text, part.width = part.text .. " ", part.width + 1
      end
      part.text, part.width = part.text .. cell[1], part.width + 1
      blank = false
    end
  end
  return parts
end

--- Runs the commands and returns the rows of the terminal as parts, without empty rows at the end.
function picture.record(podero)
  local rows = shown(run(podero))
  for i, cells in ipairs(rows) do rows[i] = parts_of(cells) end
  while #rows > 0 and #rows[#rows] == 0 do rows[#rows] = nil end
  return rows
end

-- picture -------------------------------------------------------------------------------------------------------------

-- Sizes in pixels: of a cell in DejaVu Sans Mono of this size, of the frame, and from a row's top to its baseline.
local FONT, WIDTH, HEIGHT, BASELINE, LEFT, TOP, BOTTOM = 14, 8.43, 19, 14, 22, 50, 20

local COLORS = {
  [0] = "#272822", "#f92672", "#a6e22e", "#f4bf75", "#66d9ef", "#ae81ff", "#a1efe4", "#f8f8f2", "#a59f85", "#ff6188",
  "#a6e22e", "#ffd866", "#66d9ef", "#ae81ff", "#a1efe4", "#ffffff",
}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local SVG = [[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">
<title>The command podero on a terminal</title>
<rect width="%d" height="%d" rx="6" fill="#272822"/>
<circle cx="24" cy="23" r="7" fill="#f92672"/>
<circle cx="44" cy="23" r="7" fill="#f4bf75"/>
<circle cx="64" cy="23" r="7" fill="#a6e22e"/>
<g font-family="'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace" font-size="%d" fill="#f8f8f2">
%s</g>
</svg>
]]

-- textLength fits a text to its columns in browsers with another font.
local TEXT = '<text xml:space="preserve" x="%.2f" y="%d" textLength="%.2f" lengthAdjust="spacingAndGlyphs"%s>%s'
  .. "</text>\n"

--- The picture of these rows, as SVG.
function picture.svg(rows)
  local texts = {}
  for number, parts in ipairs(rows) do
    for _, part in ipairs(parts) do
      local style = (part.style.bold and ' font-weight="bold"' or "")
        .. (part.style.color and (' fill="%s"'):format(COLORS[part.style.color]) or "")
      texts[#texts + 1] = TEXT:format(LEFT + part.column * WIDTH, TOP + (number - 1) * HEIGHT + BASELINE,
        part.width * WIDTH, style, (part.text:gsub("[&<>]", ENTITIES)))
    end
  end
  local width, height = math.ceil(2 * LEFT + picture.COLUMNS * WIDTH), TOP + #rows * HEIGHT + BOTTOM
  return SVG:format(width, height, width, height, width, height, FONT, table.concat(texts))
end

-- comparison ----------------------------------------------------------------------------------------------------------

--- Replaces what differs from run to run: times, durations, speeds.
local function timeless(line)
  return (line:gsub("%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC", "TIME"):gsub("%(in [^)]*%)", "(in SOME TIME)")
    :gsub("[%d.]+ (%a?B/s)", "SOME %1"):gsub("[%d.]+ s%f[%A]", "SOME s"))
end

--- Rows as lines of text, without what differs from run to run.
function picture.lines(rows)
  local lines = {}
  for i, parts in ipairs(rows) do
    local line, column = "", 0
    for _, part in ipairs(parts) do
      line, column = line .. (" "):rep(part.column - column) .. part.text, part.column + part.width
    end
    lines[i] = timeless(line)
  end
  return lines
end

--- The rows of a picture as `record` returns them, without colours.
function picture.rows(svg)
  local rows = {}
  local pattern = '<text xml:space="preserve" x="([%d.]+)" y="(%d+)" textLength="([%d.]+)"[^>]*>([^<]*)<'
  for x, y, length, text in svg:gmatch(pattern) do
    local number = (y - BASELINE - TOP) / HEIGHT + 1
    for i = #rows + 1, number do rows[i] = {} end
    table.insert(rows[number], {
      column = math.floor((x - LEFT) / WIDTH + 0.5), width = math.floor(length / WIDTH + 0.5),
      text = text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&"),
    })
  end
  return rows
end

return picture
