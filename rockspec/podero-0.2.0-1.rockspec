rockspec_format = "3.0"
package = "podero"
version = "0.2.0-1"
source = {
  url = "git+https://github.com/podero/podero-lua.git",
  tag = "v0.2.0",
}
description = {
  summary = "Client for Podero's Partner API",
  detailed = [[
    Lists the users of an organization from Podero's Partner API as Lua tables, and makes any other
    call of that API. Handles OAuth2 tokens, retries, time limits and connections, and reads lists
    of any length in bounded memory. In OpenResty and nginx, other requests are served while a call
    waits. A C module on libcurl, with the command `podero`.
  ]],
  license = "MIT",
}
supported_platforms = { "unix" }
dependencies = { "lua >= 5.1, < 5.6", "lua-cjson >= 2.1.0" }
-- By library and not by header: Debian and Ubuntu keep the header where LuaRocks does not look.
external_dependencies = { CURL = { library = "curl" } }
build = {
  type = "make",
  build_pass = false,
  install_target = "rock",
  install_variables = {
    LUA = "$(LUA)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    CURL_LIBDIR = "$(CURL_LIBDIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_LUADIR = "$(LUADIR)",
    INST_BINDIR = "$(BINDIR)",
  },
  copy_directories = { "docs", "types" },
}
