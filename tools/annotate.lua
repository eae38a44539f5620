--- Turns types/podero.lua, whose LuaCATS annotations LDoc does not read, into the same with LDoc's.
--   lua5.4 tools/annotate.lua <types/podero.lua >podero.lua

--- The name of a type as LDoc writes it: without this module's name, and in one word.
local function type_name(text)
  if text:find("^fun%(") then return "func" end
  text = text:gsub("podero%.(%u)", "%1"):gsub("([%w.]+)%[%]", "{%1,...}"):gsub("%?$", "|nil")
  return (text:gsub("table<string, (.-)>$", "{[string]=%1}"):gsub("%s", ""))
end

--- Splits "TYPE DESCRIPTION" into type and description. Types with spaces in them are functions and tables.
local function split_type(text)
  local kind = text:match("^fun%b():%s*%S+") or text:match("^fun%b()") or text:match("^table<[^>]+>%S*")
    or text:match("^%S+")
  return type_name(kind), (text:sub(#kind + 1):gsub("^%s+", ""))
end

local tags = {}

--- "NAME TYPE DESCRIPTION", with a "?" behind the name where it may be left out.
local function typed(tag, text)
  local name, optional, rest = text:match("^([%w_]+)(%??)%s+(.*)$")
  local kind, description = split_type(rest)
  return ("@%s%s %s %s %s"):format(tag, optional == "?" and "[opt]" or "", kind, name, description)
end

function tags.field(text) return typed("tfield", text) end

function tags.param(text) return typed("tparam", text) end

--- "TYPE NAME", or "TYPE NAME # DESCRIPTION".
tags["return"] = function(text)
  local kind, rest = split_type(text)
  return ("@treturn %s %s"):format(kind, rest:match("#%s*(.*)$") or rest)
end

--- Prints a block: its description, then its tags.
local function print_block(description, list)
  print("--- " .. (description[1] or ""))
  for i = 2, #description do print("-- " .. description[i]) end
  for _, tag in ipairs(list) do print("-- " .. tag) end
  print("")
end

local descriptions, list, name, kind, in_code = {}, {}, nil, nil, false

--- The end of a block: what it declares, by the line of code behind it.
local function finish(code)
  local declared, method = code:match("^function ([%w]+)[.:]([%w_]+)%(")
  if method then
    table.insert(list, 1, ("@function %s%s"):format(declared ~= "podero" and declared .. ":" or "", method))
    print_block(descriptions, list)
  elseif kind == "class" and name == "podero" then
    print_block(descriptions, { "@module podero" })
    for _, tag in ipairs(list) do
      local field_type, field, description = tag:match("^@tfield (%S+) (%S+) (.*)$")
      print_block({ ("%s (`%s`)"):format(description, field_type) }, { "@field " .. field })
    end
  elseif kind == "class" and code:find("^local %u") then
    print_block(descriptions, { "@type " .. name })
  elseif kind then
    table.insert(list, 1, "@table " .. name)
    print_block(descriptions, list)
  end
  descriptions, list, name, kind = {}, {}, nil, nil
end

for line in io.lines() do
  local tag, text = line:match("^%-%-%-@(%l+) ?(.*)$")
  local literal, meaning = line:match("^%-%-%-| \"([%l_]+)\" # (.*)$")
  if literal then
    list[#list + 1] = ("@field %s %s"):format(literal, meaning)
  elseif tag == "class" or tag == "alias" then
    kind, name = tag, text:match("^podero%.(%w+)") or text
  elseif tag == "field" or tag == "param" or tag == "return" then
    list[#list + 1] = tags[tag](text)
  elseif line:find("^%-%-%- ?```") then
    in_code = not in_code
  elseif line:find("^%-%-%-[^@|]") or line == "---" then
    descriptions[#descriptions + 1] = (in_code and "    " or "") .. line:match("^%-%-%- ?(.*)$")
  elseif not tag then
    finish(line)
  end
end
print("return {}")
