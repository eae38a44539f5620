--- Compiles a C module for the Lua that runs the specs, and loads it.
-- Needs a C compiler, pkg-config and the headers of this Lua.

-- Distributions name Lua's pkg-config package differently: the first of these names that exists is used.
local BUILD = [[
set -e
for name in %s; do
  if pkg-config --exists $name; then flags=$(pkg-config --cflags $name); break; fi
done
${CC:-cc} -shared -fPIC $flags -o %s/%s.so %s/%s.c %s
]]

--- Compiles `source`, a C module with the function luaopen_NAME, and returns the module. `flags` are further arguments
-- of the compiler.
return function(name, source, flags)
  local pipe = io.popen("mktemp -d \"${TMPDIR:-/tmp}/podero-spec.XXXXXX\"")
  local folder = pipe:read("*l")
  pipe:close()
  local file = assert(io.open(("%s/%s.c"):format(folder, name), "w"))
  file:write(source)
  file:close()
  local version = _VERSION:match("%d%.%d")
  local names = rawget(_G, "jit") and "luajit" or ("lua%s lua-%s lua"):format(version, version)
  local status = os.execute(BUILD:format(names, folder, name, folder, name, flags or ""))
  local open, problem
  if status == true or status == 0 then
    open, problem = package.loadlib(("%s/%s.so"):format(folder, name), "luaopen_" .. name)
  end
  os.execute("rm -r " .. folder)
  assert(open, problem or name .. " could not be compiled")
  return open()
end
