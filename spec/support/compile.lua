--- Compiles a C module for the Lua that runs the specs, and loads it. What it executes of src counts for the coverage.
-- Needs a C compiler, pkg-config and the headers of this Lua.

local BUILD = [[
set -e
${CC:-cc} -shared -fPIC $(tools/lua_cflags.sh %s %s) -o %s/%s.so %s/spec_%s.c %s
]]

local COVERAGE = " -O0 -g --coverage -fprofile-update=atomic -Wl,--exclude-libs,libgcov.a"

--- Compiles `source`, a C module with the function luaopen_NAME, and returns the module. `flags` are further arguments
-- of the compiler.
return function(name, source, flags)
  flags = flags or ""
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
