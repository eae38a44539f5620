#include "lua/wait.h"

#include <string.h>

/* On Lua 5.1 and LuaJIT a C function cannot be resumed in its middle: so the loops that wait are
 * Lua, around C functions that never do. They use no globals. */
static const char loops[] =
    "local begin, step, wait, finish, take, stop, raise, pcall = ...\n"

    /* A method whose call is finished when it returns. */
    "local function method(begin_call)\n"
    "  return function(...)\n"
    "    local call, err = begin_call(...)\n"
    "    if not call then return nil, err end\n"
    "    while not step(call) do wait(call) end\n"
    "    return finish(call)\n"
    "  end\n"
    "end\n"

    /* An iterator; the call is closed with the loop where Lua does that, and else when collected.
     */
    "local function each_user(...)\n"
    "  local call, err = begin.each_user(...)\n"
    "  if not call then err.delivered = 0 raise(err) end\n"
    "  local function next_user()\n"
    "    local user = take(call)\n"
    "    while not user do\n"
    "      if step(call) then\n"
    "        local _, failure = finish(call)\n"
    "        if failure then raise(failure) end\n"
    "        return nil\n"
    "      end\n"
    "      wait(call)\n"
    "      user = take(call)\n"
    "    end\n"
    "    return user\n"
    "  end\n"
    "  return next_user, nil, nil, call\n"
    "end\n"

    /* Steps one of several calls; an error (of on_event, say) ends them all. */
    "local function step_one_of(calls, call)\n"
    "  local ok, ended = pcall(step, call)\n"
    "  if ok then return ended end\n"
    "  for i = 1, #calls do stop(calls[i]) end\n"
    "  raise(ended)\n"
    "end\n"

    /* Without a token no call of several is begun: a wrong password is sent once. */
    "local authorize = method(begin.authorize)\n"

    "local function list_users_of(client, org_ids, opts)\n"
    "  local ids, concurrency = begin.check_many(client, org_ids, opts)\n"
    "  local results, errors, calls, id_of, last = {}, {}, {}, {}, 0\n"
    "  local authorized, refusal = false, nil\n"
    "  local function begin_call(id)\n"
    "    local call, err = begin.list_users_of(client, id, opts)\n"
    "    if not call then return nil, err end\n"
    "    if not authorized then\n"
    "      local token, failure = authorize(client, opts)\n"
    "      authorized, refusal = true, not token and failure\n"
    "    end\n"
    "    if not refusal then return call end\n"
    "    stop(call)\n"
    "    return nil, refusal\n"
    "  end\n"
    "  repeat\n"
    "    while #calls < concurrency and last < #ids do\n"
    "      last = last + 1\n"
    "      local id = ids[last]\n"
    "      local call, err = begin_call(id)\n"
    "      if call then\n"
    "        calls[#calls + 1], id_of[call] = call, id\n"
    "      else\n"
    "        errors[id] = err\n"
    "      end\n"
    "    end\n"
    "    local ended = false\n"
    "    for i = #calls, 1, -1 do\n"
    "      local call = calls[i]\n"
    "      if step_one_of(calls, call) then\n"
    "        local id = id_of[call]\n"
    "        results[id], errors[id] = finish(call)\n"
    "        calls[i] = calls[#calls]\n"
    "        calls[#calls], id_of[call] = nil, nil\n"
    "        ended = true\n"
    "      end\n"
    "    end\n"
    "    if not ended and #calls > 0 then wait(calls) end\n"
    "  until #calls == 0 and last == #ids\n"
    "  return results, errors\n"
    "end\n"

    "return {\n"
    "  list_users = method(begin.list_users),\n"
    "  get = method(begin.get),\n"
    "  token = method(begin.token),\n"
    "  each_user = each_user,\n"
    "  list_users_of = list_users_of,\n"
    "}\n";

/* raise(err): error without a position. */
static int raise_error(lua_State *L) {
  lua_settop(L, 1);
  return lua_error(L);
}

/* pcall, which a sandbox may lack. */
static int protected_call(lua_State *L) {
  bool ok = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == 0;
  lua_pushboolean(L, ok);
  lua_insert(L, 1);
  return lua_gettop(L);
}

void wait_make_methods(lua_State *L) {
  if (luaL_loadbuffer(L, loops, strlen(loops), "=podero") != 0) lua_error(L);
  lua_insert(L, -7);
  lua_pushcfunction(L, raise_error);
  lua_pushcfunction(L, protected_call);
  lua_call(L, 8, 1);
}
