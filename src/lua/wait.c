#include "lua/wait.h"

#include <string.h>

static const char loop[] = "local step, wait, finish = ...\n"
                           "return function(begin)\n"
                           "  return function(...)\n"
                           "    local call, err = begin(...)\n"
                           "    if not call then return nil, err end\n"
                           "    while not step(call) do wait(call) end\n"
                           "    return finish(call)\n"
                           "  end\n"
                           "end\n";

void wait_push_method_maker(lua_State *L) {
  if (luaL_loadbuffer(L, loop, strlen(loop), "=podero") != 0) lua_error(L);
  lua_insert(L, -4);
  lua_call(L, 3, 1);
}
