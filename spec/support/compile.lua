--- Compiles a C module for the Lua that runs the specs, and loads it. What it executes of src counts for the coverage.
-- Needs a C compiler, pkg-config and the headers of this Lua.

local BUILD = [[
set -e
${CC:-cc} -shared -fPIC $(tools/lua_cflags.sh %s %s) -o %s/%s.so %s/spec_%s.c %s
]]

local COVERAGE = " -O0 -g --coverage -fprofile-update=atomic -Wl,--exclude-libs,libgcov.a"

--- The C function that opens a module as a table of its functions.
local function opener(name, source)
  local head = ("int luaopen_%s(lua_State *L)"):format(name)
  local lines = { head .. ";\n" .. head .. " {\n  lua_newtable(L);\n" }
  for f in source:gmatch("static int l_([%w_]+)%(lua_State %*L%)") do
    lines[#lines + 1] = ("  lua_pushcfunction(L, l_%s);\n  lua_setfield(L, -2, \"%s\");\n"):format(f, f)
  end
  lines[#lines + 1] = "  return 1;\n}\n"
  return table.concat(lines)
end

--- Compiles `source`, a C module, and returns the module: without a function luaopen_NAME, a table of all functions
-- `static int l_FUNCTION(lua_State *L)` of the source. `flags` are further arguments of the compiler.
return function(name, source, flags)
  flags = flags or ""
  if not source:find("luaopen_" .. name, 1, true) then source = source .. opener(name, source) end
  -- gcov's files are written next to the module when the program ends.
  local coverage = flags:find("src/", 1, true) and package.cpath:match("([^;]*%-coverage)/%?%.so")
  local template = coverage and coverage .. "/compiled" or "${TMPDIR:-/tmp}"
  local pipe = io.popen(("mkdir -p \"%s\" && mktemp -d \"%s/podero-spec.XXXXXX\""):format(template, template))
  local folder = pipe:read("*l")
  pipe:close()
  local file = assert(io.open(("%s/spec_%s.c"):format(folder, name), "w"))
  file:write(source)
  file:close()
  local version = _VERSION:match("%d%.%d")
  local lua = rawget(_G, "jit") and "luajit" or "lua" .. version
  local status = os.execute(BUILD:format(lua, version, folder, name, folder, name,
    flags .. (coverage and COVERAGE or "")))
  local open, problem
  if status == true or status == 0 then
    open, problem = package.loadlib(("%s/%s.so"):format(folder, name), "luaopen_" .. name)
  end
  if not coverage then os.execute("rm -r " .. folder) end
  assert(open, problem or name .. " could not be compiled")
  return open()
end
