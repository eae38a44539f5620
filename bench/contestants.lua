--- The contestants of the end-to-end measurements. Each is a separate process that prints the seconds of one list.

local support = require "bench.support"

local contestants = {}

local function lua(name, interpreter, script, ...)
  local method = ...
  return {
    name = name .. ", " .. support.NAMES[interpreter],
    lua = interpreter,
    command = function(arguments)
      local all = { method }
      for _, argument in ipairs(arguments) do all[#all + 1] = argument end
      return support.lua_command(interpreter, script, table.unpack(all))
    end,
  }
end

local function other(name, program, script)
  return {
    name = name,
    program = program:match("%S+"),
    command = function(arguments)
      local quoted = {}
      for i, argument in ipairs(arguments) do quoted[i] = support.quoted(argument) end
      return ("env no_proxy='*' %s bench/contestants/%s %s"):format(program, script, table.concat(quoted, " "))
    end,
  }
end

local function has_module(interpreter, module)
  local _, ok = support.output_of(("%s -e 'require \"%s\"' 2>&1"):format(interpreter, module))
  return ok
end

--- Returns all contestants. Those with a field `missing`, which says why, cannot take part. `rival` is the name of the
-- contestant with which a bar compares this one.
function contestants.all()
  local all = {
    lua("podero list_users", "lua5.4", "podero.lua", "list_users"),
    lua("podero list_users", "luajit", "podero.lua", "list_users"),
    lua("podero each_user", "lua5.4", "podero.lua", "each_user"),
    lua("podero each_user", "luajit", "podero.lua", "each_user"),
    lua("lua-cjson on libcurl", "lua5.4", "podero.lua", "get"),
    lua("lua-cjson on libcurl", "luajit", "podero.lua", "get"),
    lua("lua-cjson on LuaSocket", "lua5.4", "luasocket.lua"),
    lua("lua-cjson on lua-http", "luajit", "lua_http.lua"),
    other("Python, urllib + json", "python3", "python.py"),
    other("Node, fetch", "node", "node.mjs"),
    other("curl -o /dev/null", "sh", "curl.sh"),
  }
  all[1].rival, all[2].rival = all[5].name, all[6].name
  if not has_module("luajit", "http.client") then all[8].missing = "the package lua-http is missing" end
  if not support.has("python3") then all[9].missing = "python3 is missing" end
  if not support.has("node") then all[10].missing = "node is missing" end
  if not support.has("curl") then all[11].missing = "curl is missing" end
  return all
end

--- Measures a contestant once. Returns the seconds per list, and its peak memory in kilobytes.
function contestants.measure(contestant, arguments)
  local figures = support.figures(support.compiled("peak") .. " " .. contestant.command(arguments))
  return figures.seconds[1], figures.peak[1]
end

return contestants
