--- Makes the documentation site: `lua5.4 tools/site.lua build/docs`, in the project's folder.
-- tools/site/pages.lua lists the pages. pandoc turns Markdown into HTML, mandoc the man page. Links between sources
-- become links between pages; links to other files of the project become links to the repository. The program fails and
-- names each link whose target or anchor does not exist. A line `!include FILE` in a page becomes a block with that
-- file. search.js has an index of the pages.

local HOMEPAGE = "https://github.com/podero/podero-lua"
local REPOSITORY = HOMEPAGE .. "/blob/main/"

local target_folder = arg[1] or error "the folder to write to is missing"
local sections = dofile "tools/site/pages.lua"

local function read(name)
  local file = io.open(name, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function write(name, text)
  local file = assert(io.open(name, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function shell(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read("a")
  if not pipe:close() then
    io.stderr:write("failed: ", command, "\n")
    os.exit(1)
  end
  return output
end

local function escaped(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\""] = "&quot;" }))
end

--- Resolves "." and ".." of a relative path; "" for the project's own folder.
local function resolved(folder, path)
  local parts = {}
  for part in (folder .. path):gmatch("[^/]+") do
    if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
  end
  return table.concat(parts, "/")
end

local function folder_of(path) return path:match("^(.*/)[^/]*$") or "" end

--- The way from a page to the site's folder.
local function root_of(page) return ("../"):rep(select(2, page:gsub("/", ""))) end

-- The pages by source, and all in their order.
local pages, by_source = {}, {}
for _, section in ipairs(sections) do
  for _, entry in ipairs(section) do
    local page = { source = entry[1], name = entry[2], label = entry[3] }
    pages[#pages + 1] = page
    by_source[page.source] = page
  end
end

local problems = {}
local function problem(page, text) problems[#problems + 1] = page.source .. ": " .. text end

-- The files, pictures for instance, that pages show: each is copied.
local copied = {}

local function is_absolute(link) return link:find("^%a[%w+.-]*:") ~= nil end

--- What a link of a source leads to on the site.
local function site_link(page, link)
  if is_absolute(link) then return link end
  local path, anchor = link:match("^([^#]*)(.*)$")
  if path == "" then return link end
  local source = resolved(folder_of(page.source), path)
  local other = by_source[source]
  if other then return root_of(page.name) .. other.name .. anchor end
  if not os.rename(source, source) then problem(page, "no such file: " .. link) end
  return REPOSITORY .. source .. anchor
end

local function picture_link(page, link)
  if is_absolute(link) then return link end
  local source = resolved(folder_of(page.source), link)
  copied[source] = true
  return root_of(page.name) .. "files/" .. source
end

--- Gives each cell after the first the name of its column: a phone shows a row as a block, without the column heads.
local function label_cells(table_html)
  local names = {}
  for name in table_html:gmatch("<th[^>]*>(.-)</th>") do names[#names + 1] = name:gsub("<[^>]+>", "") end
  return (table_html:gsub("<tr[^>]*>.-</tr>", function(row)
    local column = 0
    return (row:gsub("<td", function(cell)
      column = column + 1
      local has_label = column > 1 and column < #names
      return has_label and ("%s data-label=\"%s\""):format(cell, names[column]) or cell
    end))
  end))
end

--- The HTML of a page's source, without a frame.
local function body_of(page)
  if page.source:find("%.1$") then
    local html = shell("mandoc -Thtml -Ofragment " .. quoted(page.source))
    html = html:gsub("<(/?)h2", "<%1h3"):gsub("<(/?)h1", "<%1h2")
    html = html:gsub("<table class=\"head\">.-</table>", ""):gsub("<table class=\"foot\">.-</table>", "")
    return "<h1>" .. escaped(page.label) .. "</h1>\n" .. html
  end
  local text = read(page.source) or error("no such file: " .. page.source)
  text = ("\n" .. text):gsub("\n!include (%S+)", function(name)
    local included = read(name)
    if not included then problem(page, "no such file: " .. name) end
    return ("\n```%s\n%s```"):format(name:match("%.(%w+)$"), included or "")
  end)
  local temporary = target_folder .. "/source.md"
  write(temporary, text)
  local html = shell("pandoc -f gfm -t html5 --wrap=preserve --syntax-definition tools/site/nginx.xml " .. temporary)
  os.remove(temporary)
  return (html:gsub("<a\n", "<a "):gsub("(<a [^>]-)href=\"([^\"]*)\"", function(before, link)
    return ("%shref=\"%s\""):format(before, site_link(page, link))
  end):gsub("(<img%s[^>]-)src=\"([^\"]*)\"", function(before, link)
    return ("%ssrc=\"%s\""):format(before, picture_link(page, link))
  end):gsub("<table>.-</table>", label_cells)
    :gsub("<pre><code>", "<pre tabindex=\"0\"><code>") -- so that the keyboard can scroll it
    :gsub("<pre class=\"(%l+)\"><code>", "<pre class=\"%1\" tabindex=\"0\"><code>"))
end

--- The sidebar, as a page shows it: all pages, and the headings of this one.
local function menu_of(page)
  local lines = {}
  local function add(...) lines[#lines + 1] = table.concat { ... } end
  for _, section in ipairs(sections) do
    add("<h2>", escaped(section.heading), "</h2>\n<ul>")
    for _, entry in ipairs(section) do
      local other = by_source[entry[1]]
      local current = other == page and " aria-current=\"page\"" or ""
      add("<li><a href=\"", root_of(page.name), other.name, "\"", current, ">", escaped(other.label), "</a>")
      if other == page then
        add("<ul>")
        for id, heading in page.body:gmatch("<h2[^>]- id=\"([^\"]+)\"[^>]*>(.-)</h2>") do
          add("<li><a href=\"#", id, "\">", (heading:gsub("</?a[^>]*>", "")), "</a></li>")
        end
        add("</ul>")
      end
      add("</li>")
    end
    add("</ul>")
  end
  return table.concat(lines, "\n")
end

local function pager_of(index)
  local page = pages[index]
  local function link(other, text)
    if not other then return "<span></span>" end
    return ("<a href=\"%s%s\">%s</a>"):format(root_of(page.name), other.name, text:format(escaped(other.label)))
  end
  return link(pages[index - 1], "&larr; %s") .. " " .. link(pages[index + 1], "%s &rarr;")
end

local CHARACTERS = { lt = "<", gt = ">", amp = "&", quot = "\"", ["#160"] = " " }

--- What the search finds on a page, as elements of a JavaScript array: its name, its headings, terms with an anchor,
-- and the code in the first column of its tables, which leads to the anchor before it.
local function index_of(page)
  local entries, anchor = {}, ""
  local function add(html)
    local text = html:gsub("<[^>]+>", ""):gsub("&([#%w]+);", CHARACTERS):gsub("%s+", " ")
    entries[#entries + 1] = ("[%q,%q,%q]"):format(text, page.label, page.name .. anchor)
  end
  add(page.label)
  for name, id, from in page.body:gmatch("<(%l%w) ?([^>]*)>()") do
    id = id:match("^id=\"([^\"]+)") or id:match(" id=\"([^\"]+)")
    if id and (name == "h2" or name == "h3" or name == "dt") then
      anchor = "#" .. id
      add(page.body:match("(.-)</" .. name, from))
    elseif name == "tr" then
      local cell = page.body:match("^%s*<td[^>]*>(.-)</td>", from) or ""
      for code in cell:gmatch("<code>(.-)</code>") do add(code) end
    end
  end
  return table.concat(entries, ",\n")
end

--- Names each link and picture of the pages whose target is no page, no file or no anchor of the site.
local function check_links()
  for _, page in ipairs(pages) do
    page.anchors = {}
    for id in page.html:gmatch("[%s]id=\"([^\"]+)\"") do
      if page.anchors[id] then problem(page, "two anchors with one name: #" .. id) end
      page.anchors[id] = true
    end
  end
  local by_name = {}
  for _, page in ipairs(pages) do by_name[page.name] = page end
  for _, page in ipairs(pages) do
    for link in page.html:gmatch("[%s]href=\"([^\"]*)\"") do
      if not is_absolute(link) and not link:find("style%.css$") then
        local path, anchor = link:match("^([^#]*)#?(.*)$")
        local other = path == "" and page or by_name[resolved(folder_of(page.name), path)]
        if not other then
          problem(page, "no such page: " .. link)
        elseif anchor ~= "" and not other.anchors[anchor] then
          problem(page, "no such anchor: " .. link)
        end
      end
    end
  end
end

shell("rm -rf " .. quoted(target_folder) .. " && mkdir -p " .. quoted(target_folder))
local version = read("src/version.h"):match("PODERO_VERSION \"([^\"]+)\"")
local frame = read("tools/site/page.html")
for _, page in ipairs(pages) do page.body = body_of(page) end
for index, page in ipairs(pages) do
  local heading = page.body:match("<h1[^>]*>(.-)</h1>"):gsub("<[^>]+>", "")
  local values = {
    title = heading, version = version, root = root_of(page.name), body = page.body, menu = menu_of(page),
    pager = pager_of(index), homepage = HOMEPAGE,
  }
  page.html = frame:gsub("%${(%l+)}", values)
  shell("mkdir -p " .. quoted(target_folder .. "/" .. folder_of(page.name)))
  write(target_folder .. "/" .. page.name, page.html)
end
for source in pairs(copied) do
  local name = target_folder .. "/files/" .. source
  shell(("mkdir -p %s && cp %s %s"):format(quoted(folder_of(name)), quoted(source), quoted(name)))
end
write(target_folder .. "/style.css", read("tools/site/style.css"))
local index = {}
for i, page in ipairs(pages) do index[i] = index_of(page) end
write(target_folder .. "/search.js", ("const INDEX = [\n%s\n];\n"):format(table.concat(index, ",\n"))
  .. read("tools/site/search.js"))
check_links()
if problems[1] then
  io.stderr:write(table.concat(problems, "\n"), "\n")
  os.exit(1)
end
