--- Compiles a library for LD_PRELOAD, which replaces functions of libcurl or of the C library.

local nginx = require "spec.support.nginx"

local quoted = nginx.quoted

--- Compiles `source`. Returns the library's file name, and a function that removes it.
return function(source)
  local folder = nginx.temporary_folder "podero-preload"
  local file = folder .. "/library.so"
  nginx.write_file(folder .. "/library.c", source)
  local compiled = nginx.run(("${CC:-cc} $(pkg-config --cflags libcurl) -shared -fPIC -o %s %s -ldl"):format(
    quoted(file), quoted(folder .. "/library.c")))
  local function remove() nginx.run("rm -r " .. quoted(folder)) end
  if not compiled then
    remove()
    error("the library could not be compiled", 2)
  end
  return file, remove
end
