/* A Lua interpreter that is linked with the sanitizers, for specs. (With LD_PRELOAD instead, every
 * program that the specs start would load them.)   lua [-e program]... [script [argument]...] */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lua_State *interruptible;

static void interrupt(lua_State *L, lua_Debug *where) {
  (void)where;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted!");
}

/* Does what the standard interpreter does: sets a hook that raises an error at the next
 * instruction. */
static void handle_interrupt(int number) {
  signal(number, SIG_DFL);
  lua_sethook(interruptible, interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* Returns the message at index 1 with a traceback. [1, +1] */
static int traceback(lua_State *L) {
  lua_getglobal(L, "debug");
  lua_getfield(L, -1, "traceback");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Runs the chunk on top of the stack with `arguments`, if `loaded` is 0; the function traceback is
 * below the chunk. Returns 0 on success. */
static int run(lua_State *L, int loaded, char **arguments) {
  int count = 0;
  for (; loaded == 0 && arguments != NULL && arguments[count] != NULL; count++)
    lua_pushstring(L, arguments[count]);
  if (loaded != 0 || lua_pcall(L, count, 0, 1) != 0) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "lua: %s\n", message != NULL ? message : "(error object is not a string)");
    return 1;
  }
  return 0;
}

/* Sets `arg` as lua does: the script is arg[0]. */
static void set_arg(lua_State *L, int count, char **arguments, int script) {
  lua_newtable(L);
  for (int i = 0; i < count; i++) {
    lua_pushstring(L, arguments[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

/* Keeps modules loaded, so that leak reports can name their functions. */
int dlclose(void *library);
int dlclose(void *library) {
  (void)library;
  return 0;
}

int main(int count, char **arguments) {
  lua_State *L = luaL_newstate();
  if (L == NULL) return EXIT_FAILURE;
  luaL_openlibs(L);
  interruptible = L;
  signal(SIGINT, handle_interrupt);
  lua_pushcfunction(L, traceback);
  int script = 1, failed = 0;
  while (script + 1 < count && strcmp(arguments[script], "-e") == 0)
    script += 2;
  set_arg(L, count, arguments, script < count ? script : 0);
  for (int i = 2; i < script && !failed; i += 2)
    failed =
        run(L, luaL_loadbuffer(L, arguments[i], strlen(arguments[i]), "=(command line)"), NULL);
  if (!failed && script < count)
    failed = run(L, luaL_loadfile(L, arguments[script]), arguments + script + 1);
  lua_close(L);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
