--- Functions that the parts of the benchmark share: programs, temporary files, the mock server, medians.

local mock = require "spec.support.mock"
local users = require "spec.support.mock.users"

local support = {}

support.TOKEN = "static"
support.SEED = 7
support.LUAS = { "lua5.4", "luajit" }
support.NAMES = { ["lua5.4"] = "Lua 5.4", luajit = "LuaJIT" }

-- shell ---------------------------------------------------------------------------------------------------------------

function support.quoted(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

--- Returns the standard output of a command, without blanks at its end, and whether the command succeeded.
function support.output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  return (text:gsub("%s+$", "")), pipe:close() == true
end

function support.has(program)
  local _, ok = support.output_of("command -v " .. support.quoted(program) .. " 2>/dev/null")
  return ok
end

--- Reports progress on standard error. Standard output is for the table of results.
function support.say(format, ...)
  io.stderr:write(format:format(...), "\n")
end

local root = support.output_of("pwd")

--- Returns the command line that runs a script with one of the Luas and the module built for it. It unsets the variable
-- with a version in its name, which would override LUA_CPATH.
function support.lua_command(lua, script, ...)
  local parts = { "env -u LUA_CPATH_5_4 no_proxy='*' LUA_CPATH=" .. support.quoted(
    ("%s/build/%s/?.so;;"):format(root, lua)) }
  parts[#parts + 1] = lua
  parts[#parts + 1] = "bench/contestants/" .. script
  for _, argument in ipairs { ... } do parts[#parts + 1] = support.quoted(argument) end
  return table.concat(parts, " ")
end

--- Runs a command that prints lines of a name and a number. Returns the list of numbers of each name.
function support.figures(command)
  local text, ok = support.output_of(command)
  if not ok then error("failed: " .. command) end
  local figures = {}
  for name, number in text:gmatch("([%w_]+) ([%d.]+)") do
    figures[name] = figures[name] or {}
    table.insert(figures[name], tonumber(number))
  end
  return figures
end

-- temporary files -----------------------------------------------------------------------------------------------------

local folder

--- Returns a path in the temporary folder of this run.
function support.temporary(name)
  if not folder then
    folder = support.output_of("mktemp -d \"${TMPDIR:-/tmp}/podero-bench.XXXXXX\"")
    assert(folder ~= "", "no temporary folder could be made")
  end
  return folder .. "/" .. name
end

function support.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

local compiled = {}

--- Compiles bench/NAME.c, once in a run. Returns `path`.
local function compile(path, name, options)
  if not compiled[path] then
    local _, ok = support.output_of(("${CC:-cc} -std=c11 -D_DEFAULT_SOURCE -O2 -o %s bench/%s.c %s"):format(
      support.quoted(path), name, options))
    assert(ok, "bench/" .. name .. ".c could not be compiled")
    compiled[path] = true
  end
  return path
end

--- Compiles bench/NAME.c as a program, and returns its path.
function support.compiled(name)
  return compile(support.temporary(name), name, "$(pkg-config --cflags --libs libcurl)")
end

--- Compiles bench/NAME.c as a module for this Lua, and returns its path.
function support.compiled_module(name, lua)
  return compile(support.temporary(("%s-%s.so"):format(name, lua)), name,
    ("-fPIC -shared $(pkg-config --cflags %s)"):format(lua))
end

--- Runs a command, and returns its peak memory in kilobytes.
function support.peak(command)
  return support.figures(support.compiled("peak") .. " " .. command).peak[1]
end

--- Writes a file with a list of this many users, and returns its path.
function support.list_file(count)
  return support.write(support.temporary(("users-%d.json"):format(count)), users.list_json(support.SEED, count))
end

-- the mock server -----------------------------------------------------------------------------------------------------

local server

function support.server()
  server = server or mock.start { tls = false }
  return server
end

--- Returns the id of the organization with this many users, see `serve`.
function support.org(count)
  return ("%08x-0000-4000-8000-000000000000"):format(count)
end

-- A list longer than this is given to the server as text, because the server would generate it for each request.
local GENERATED = 20000

--- Starts the mock server with an organization for each number of users. Returns its URL. `generated`: the server
-- generates even the long lists, while it sends them.
function support.serve(counts, generated)
  local organizations = {}
  for _, count in ipairs(counts) do
    local id = support.org(count)
    organizations[id] = { users = count, seed = support.SEED }
    if count > GENERATED and not generated then
      organizations[id] = { raw = users.list_json(support.SEED, count, false, { org_id = id }) }
    end
  end
  support.server():configure { accept_tokens = { support.TOKEN }, organizations = organizations }
  return support.server().url
end

--- Returns the number of bytes of a list.
function support.list_bytes(count)
  local bytes = 0
  for piece in users.pieces(support.SEED, count, false, { org_id = support.org(count) }) do bytes = bytes + #piece end
  return bytes
end

--- Stops the mock server, and removes the temporary files.
function support.clean_up()
  if server then server:stop() end
  if folder then os.execute("rm -rf " .. support.quoted(folder)) end
end

-- figures -------------------------------------------------------------------------------------------------------------

function support.median(list)
  local sorted = {}
  for i, value in ipairs(list) do sorted[i] = value end
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

--- Calls `measure(contestant)` for each contestant in each round, in one order and then in reverse, so that other load
-- on the machine affects all of them. Returns the lists of its first results and of its second ones, by contestant.
function support.rounds(count, contestants, measure)
  local firsts, seconds = {}, {}
  for _, contestant in ipairs(contestants) do firsts[contestant], seconds[contestant] = {}, {} end
  for round = 1, count do
    for i = 1, #contestants do
      local contestant = contestants[round % 2 == 1 and i or #contestants + 1 - i]
      firsts[contestant][round], seconds[contestant][round] = measure(contestant)
    end
  end
  return firsts, seconds
end

--- Returns the median of the ratios of two lists, pair by pair: what disturbs a round disturbs both figures.
function support.ratio(above, below)
  local ratios = {}
  for i = 1, math.min(#above, #below) do ratios[i] = above[i] / below[i] end
  return support.median(ratios)
end

--- Returns the median of the differences of two lists, pair by pair.
function support.difference(above, below)
  local differences = {}
  for i = 1, #above do differences[i] = above[i] - below[i] end
  return support.median(differences)
end

return support
