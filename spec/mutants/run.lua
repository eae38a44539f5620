--- `make mutants`: makes each change of list.lua, one at a time, in a copy of the sources, and checks that the spec
-- that it names fails, and passes without the change. Prints a line for each; fails if a change survives, if it does
-- not compile, or if a text of the list is not found exactly once.
--   lua5.4 spec/mutants/run.lua [PATTERN...]    only those in whose file or spec one of the patterns is found

local list = dofile "spec/mutants/list.lua"

local SECONDS = 300 -- for one spec: a change may make it hang

local function run(command)
  local ok, _, code = os.execute(command)
  return ok == true or ok == 0, code
end

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(name, text)
  local file = assert(io.open(name, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Returns the text with the change, or nil and what is wrong.
local function mutate(text, mutant)
  local from, to = text:find(mutant.find, 1, true)
  if not from then return nil, "its text is not found" end
  if text:find(mutant.find, to + 1, true) then return nil, "its text is found twice" end
  return text:sub(1, from - 1) .. mutant.replace .. text:sub(to + 1)
end

local function is_wanted(mutant)
  if #arg == 0 then return true end
  for _, pattern in ipairs(arg) do
    if mutant.file:find(pattern) or mutant.spec:find(pattern) then return true end
  end
  return false
end

local folder = os.getenv("MUTANTS_FOLDER") or "build/mutants"
local log = folder .. ".log"

--- Runs a command in the copy; its output goes to the log. Returns whether it succeeded.
local function in_copy(command)
  return run(("cd %s && %s >%s 2>&1"):format(quoted(folder), command, quoted(log)))
end

local function build(lua)
  return in_copy(("make LUA=%s all decoder allocations"):format(lua))
end

--- Returns whether the spec passes.
local function passes(mutant, lua)
  local busted = ("spec/%s_spec.lua"):format(mutant.spec)
  if mutant.filter then busted = ("%s --filter=%s"):format(busted, (mutant.filter:gsub(" ", "."))) end
  return in_copy(("BUSTED=%s timeout %d spec/support/run.sh %s"):format(quoted(busted), SECONDS, lua))
end

--- Returns "" if the spec passes without a change, or what is wrong.
local function find_problem(mutant, lua)
  if not build(lua) then return "it does not compile without the change" end
  if passes(mutant, lua) then return "" end
  local is_empty = read(log):find "%f[%d]0 passed, 0 failed" ~= nil
  return is_empty and "its filter matches no test" or "the spec fails without the change"
end

--- Returns "killed", or what is wrong. `unchanged`: results of find_problem, by spec, filter and Lua.
local function try(mutant, unchanged)
  local lua, name = mutant.lua or "lua5.4", folder .. "/src/" .. mutant.file
  local original = read(name)
  local changed, problem = mutate(original, mutant)
  if not changed then return problem end
  local key = table.concat({ mutant.spec, mutant.filter or "", lua }, "\n")
  unchanged[key] = unchanged[key] or find_problem(mutant, lua)
  if unchanged[key] ~= "" then return unchanged[key] end
  write(name, changed)
  local is_built = build(lua)
  local has_survived = is_built and passes(mutant, lua)
  write(name, original)
  if not is_built then return "it does not compile" end
  return has_survived and "SURVIVED" or "killed"
end

local SOURCES = "Makefile spec src tools examples docs types rockspec README.md LICENSE"

assert(run(("rm -rf %s && mkdir -p %s && cp -R %s %s"):format(quoted(folder), quoted(folder), SOURCES, quoted(folder))))
if not folder:find("^/") then
  local pipe = io.popen("pwd")
  folder = pipe:read("l") .. "/" .. folder
  log = folder .. ".log"
  pipe:close()
end

local count, bad, unchanged = 0, 0, {}
for _, mutant in ipairs(list) do
  if is_wanted(mutant) then
    local result = try(mutant, unchanged)
    count = count + 1
    if result ~= "killed" then bad = bad + 1 end
    print(("%-10s %s: %s (%s%s)"):format(result, mutant.file, mutant.find:match("^%s*([^\n]*)"), mutant.spec,
      mutant.filter and ", " .. mutant.filter or ""))
    io.stdout:flush()
  end
end
print(("%d changes, %d not noticed"):format(count, bad))
run(("rm -rf %s"):format(quoted(folder)))
os.exit(bad == 0 and count > 0)
