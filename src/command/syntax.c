/* podero.command.syntax: the module's checks of arguments, for messages before a request is sent.
 *
 *   is_uuid(text)        whether a text is a UUID
 *   is_loopback(host)    whether a host name or an address means this machine
 *   path_fault(path)     what is wrong with a path
 *   escaped_path(path)   a path without characters that need escaping */
#include "core/syntax.h"

#include <stdio.h>

#include "lua/compat.h"

static int command_is_uuid(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  lua_pushboolean(L, syntax_is_uuid(text, size));
  return 1;
}

static int command_is_loopback(lua_State *L) {
  lua_pushboolean(L, syntax_is_loopback(luaL_checkstring(L, 1)));
  return 1;
}

/* path_fault(path): a message, and whether the reason is a character that needs escaping; nil if
 * the path can be sent. */
static int command_path_fault(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  enum syntax_path_fault fault = syntax_path_fault(path, size);
  lua_pushstring(L, syntax_path_fault_text(fault));
  lua_pushboolean(L, fault == SYNTAX_PATH_UNESCAPED);
  return 2;
}

/* escaped_path(path): the path, with bytes that it must not contain percent-encoded. */
static int command_escaped_path(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (size_t i = 0; i < size; i++) {
    if (syntax_is_path_byte(path[i])) {
      luaL_addchar(&out, path[i]);
    } else {
      char escape[4];
      snprintf(escape, sizeof escape, "%%%02X", (unsigned)(unsigned char)path[i]);
      luaL_addstring(&out, escape);
    }
  }
  luaL_pushresult(&out);
  return 1;
}

static const luaL_Reg functions[] = {{"is_uuid", command_is_uuid},
                                     {"is_loopback", command_is_loopback},
                                     {"path_fault", command_path_fault},
                                     {"escaped_path", command_escaped_path},
                                     {NULL, NULL}};

PODERO_EXPORT int luaopen_podero_command_syntax(lua_State *L);
int luaopen_podero_command_syntax(lua_State *L) {
  lua_createtable(L, 0, 4);
  compat_setfuncs(L, functions);
  return 1;
}
