--- The blocks of code in the documentation's Markdown.

local documents = {}

local pages = dofile "tools/site/pages.lua"

--- The sources of the site's pages that are Markdown, in the order of its sidebar.
function documents.names()
  local list = {}
  for _, section in ipairs(pages) do
    for _, page in ipairs(section) do
      if page[1]:find("%.md$") then list[#list + 1] = page[1] end
    end
  end
  return list
end

function documents.read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The fenced blocks of a text: `language`, `text`, `line` (of its first line), in their order.
function documents.blocks(text)
  local list, block, number = {}, nil, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local language = line:match("^```(%w*)%s*$")
    if not language then
      if block then block.lines[#block.lines + 1] = line end
    elseif block then
      block.text = table.concat(block.lines, "\n") .. "\n"
      list[#list + 1], block = block, nil
    else
      block = { language = language, line = number + 1, lines = {} }
    end
  end
  assert(not block, "a block without end")
  return list
end

--- The blocks of a page in this language.
function documents.blocks_in(name, language)
  local list = {}
  for _, block in ipairs(documents.blocks(documents.read(name))) do
    if block.language == language then list[#list + 1] = block end
  end
  return list
end

return documents
