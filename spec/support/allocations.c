/* A test module: podero, with its allocations counted, and with a way to make any of them fail.
 *
 *   allocations.podero          the module, linked from the same objects as podero.so
 *   allocations.rows            podero.command.rows
 *   allocations.open_mock()     podero.mock; needs podero in package.loaded
 *   allocations.fail(which, n, how)
 *       makes the n-th allocation from now on fail.
 *       which: "lua" (by this Lua state), "own" (by podero's C code) or "libcurl".
 *       how: "once", "on" (all later ones fail too), or "retried" (Lua 5.2 and later: Lua's second
 *       attempt, after a full collection, succeeds).
 *   allocations.stop()          ends that; returns whether an allocation has failed
 *   allocations.live()          returns how many blocks podero and libcurl have allocated now
 *
 * Must be loaded before anything else uses libcurl. Linked with --wrap for malloc, calloc, realloc,
 * strdup and free. */
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/fork.h"
#include "lua/compat.h"

enum how { ONCE, ON, RETRIED };

/* Atomic, since libcurl's resolver threads allocate, too. */
struct failing {
  atomic_long left; /* allocations until one fails; 0 if none has to fail */
  enum how how;
  atomic_bool failed;
};

static struct failing lua_failing, own_failing, libcurl_failing;
static atomic_long live_blocks;

static bool is_to_fail(struct failing *f) {
  if (f->left == 0) return false;
  if (f->failed) return f->how == ON;
  if (f->left > 1) {
    f->left--;
    return false;
  }
  f->failed = true;
  return true;
}

/* ---- podero and libcurl ---- */

static void *counted(void *block) {
  if (block != NULL) live_blocks++;
  return block;
}

/* Defines the allocating functions of the C library: for podero by --wrap, for libcurl by
 * curl_global_init_mem. */
#define ALLOCATING(prefix, failing, real)                                                          \
  void *prefix##malloc(size_t size);                                                               \
  void *prefix##calloc(size_t count, size_t size);                                                 \
  void *prefix##realloc(void *block, size_t size);                                                 \
  char *prefix##strdup(const char *text);                                                          \
                                                                                                   \
  void *prefix##malloc(size_t size) {                                                              \
    return is_to_fail(failing) ? NULL : counted(real##malloc(size));                               \
  }                                                                                                \
  void *prefix##calloc(size_t count, size_t size) {                                                \
    return is_to_fail(failing) ? NULL : counted(real##calloc(count, size));                        \
  }                                                                                                \
  void *prefix##realloc(void *block, size_t size) {                                                \
    if (is_to_fail(failing)) return NULL;                                                          \
    return block == NULL ? counted(real##malloc(size)) : real##realloc(block, size);               \
  }                                                                                                \
  char *prefix##strdup(const char *text) {                                                         \
    return is_to_fail(failing) ? NULL : counted(real##strdup(text));                               \
  }

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);

void __wrap_free(void *block);

ALLOCATING(__wrap_, &own_failing, __real_)
ALLOCATING(libcurl_, &libcurl_failing, __real_)

void __wrap_free(void *block) {
  if (block != NULL) live_blocks--;
  __real_free(block);
}

/* ---- Lua ---- */

static lua_Alloc real_alloc;

static void *failing_alloc(void *state, void *block, size_t before, size_t after) {
  static const void *refused;
  static size_t refused_size;
  size_t size = block == NULL ? 0 : before; /* without a block, `before` may be a type */
  if (after > size) {
    bool again = refused_size == after && refused == block && lua_failing.how == ONCE;
    refused_size = 0;
    if (again && LUA_VERSION_NUM >= 502) return NULL; /* the second try, after a collection */
    if (is_to_fail(&lua_failing)) {
      refused = block;
      refused_size = after;
      return NULL;
    }
  }
  return real_alloc(state, block, before, after);
}

/* ---- the module ---- */

/* [3, 0] */
static int l_fail(lua_State *L) {
  static const char *const whose[] = {"lua", "own", "libcurl", NULL};
  static const char *const hows[] = {"once", "on", "retried", NULL};
  static struct failing *const all[] = {&lua_failing, &own_failing, &libcurl_failing};
  struct failing *f = all[luaL_checkoption(L, 1, NULL, whose)];
  long n = (long)luaL_checkinteger(L, 2);
  f->how = (enum how)luaL_checkoption(L, 3, NULL, hows);
  f->failed = false;
  f->left = n;
  return 0;
}

/* [0, +1] */
static int l_stop(lua_State *L) {
  lua_failing.left = own_failing.left = libcurl_failing.left = 0;
  lua_pushboolean(L, lua_failing.failed || own_failing.failed || libcurl_failing.failed);
  lua_failing.failed = own_failing.failed = libcurl_failing.failed = false;
  return 1;
}

/* [0, +1] */
static int l_live(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)live_blocks);
  return 1;
}

int luaopen_podero(lua_State *L);
int luaopen_podero_mock(lua_State *L);
int luaopen_podero_command_rows(lua_State *L);
int luaopen_allocations(lua_State *L);

/* [0, +1] */
int luaopen_allocations(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"fail", l_fail}, {"stop", l_stop}, {"live", l_live}, {NULL, NULL}};
  void *state;
  if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, libcurl_malloc, __wrap_free, libcurl_realloc,
                           libcurl_strdup, libcurl_calloc) != CURLE_OK)
    return luaL_error(L, "libcurl cannot be initialized");
  fork_init(); /* keeps this module in memory: Lua unloads it before it frees its last blocks */
  real_alloc = lua_getallocf(L, &state);
  lua_setallocf(L, failing_alloc, state);
  lua_newtable(L);
  compat_setfuncs(L, functions);
  lua_pushcfunction(L, luaopen_podero);
  lua_call(L, 0, 1);
  lua_setfield(L, -2, "podero");
  lua_pushcfunction(L, luaopen_podero_mock);
  lua_setfield(L, -2, "open_mock");
  lua_pushcfunction(L, luaopen_podero_command_rows);
  lua_call(L, 0, 1);
  lua_setfield(L, -2, "rows");
  return 1;
}
