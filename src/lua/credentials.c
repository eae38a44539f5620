#include "lua/credentials.h"

#include <stdio.h>
#include <string.h>

#include "core/buffer.h"
#include "core/secret_file.h"
#include "lua/call_object.h"
#include "lua/client.h"
#include "lua/credential_options.h"

/* ---- where they come from ---- */

/* Pushes the function that supplies a credential, from the options table at index 1. [-0, +1, e] */
static void push_function(lua_State *L, enum credential which) {
  if (which == CREDENTIAL_KEY_PASSWORD) {
    lua_getfield(L, 1, "tls");
    lua_getfield(L, -1, "key_password");
    lua_remove(L, -2);
  } else {
    lua_getfield(L, 1, credential_name(which));
  }
}

/* Pushes a table with the `path` and `label` of a credential's file. [-0, +1, m] */
static void push_file(lua_State *L, const struct session_options *o, enum credential which) {
  char label[CREDENTIAL_LABEL_BYTES];
  credential_options_label(o, which, label);
  lua_newtable(L);
  lua_pushstring(L, o->files[which]);
  lua_setfield(L, -2, "path");
  lua_pushstring(L, label);
  lua_setfield(L, -2, "label");
}

void credentials_push(lua_State *L, const struct session_options *o) {
  if (o->supplied == 0) {
    lua_pushnil(L);
    return;
  }
  lua_newtable(L);
  for (int i = 0; i < CREDENTIAL_COUNT; i++) {
    enum credential which = (enum credential)i;
    if (!(o->supplied & CREDENTIAL_BIT(which))) continue;
    if (o->files[which] != NULL)
      push_file(L, o, which);
    else
      push_function(L, which);
    lua_setfield(L, -2, credential_name(which));
  }
}

/* ---- who supplies them ---- */

/* Returns the token source of the client at index 1, or NULL if the client is closed.
 * [-0, +0, -] */
static struct token_source *token_source_of(lua_State *L) {
  struct session *session = client_session(L, 1);
  return session == NULL ? NULL : session_token_source(session);
}

static unsigned ticket_at(lua_State *L, int index) {
  return (unsigned)lua_tonumber(L, index);
}

/* [1, +1] */
static int credentials_state(lua_State *L) {
  const struct call *call = calls_get(L, 1, 1);
  if (call != NULL && call_wants_credentials(call))
    lua_pushliteral(L, "wanted");
  else if (call != NULL && call_awaits_credentials(call))
    lua_pushliteral(L, "asked");
  else
    lua_pushnil(L);
  return 1;
}

/* [1, +0] */
static int refuse_credentials(lua_State *L) {
  struct call *call = calls_get(L, 1, 1);
  if (call != NULL && call_awaits_credentials(call)) call_refuse_credentials(call);
  return 0;
}

/* [1, +0|1] */
static int ask_credentials(lua_State *L) {
  struct token_source *token_source = token_source_of(L);
  unsigned ticket = token_source == NULL ? 0 : token_source_ask_credentials(token_source);
  if (ticket == 0) return 0;
  lua_pushnumber(L, ticket);
  return 1;
}

/* [2, +1] */
static int is_asked(lua_State *L) {
  const struct token_source *token_source = token_source_of(L);
  lua_pushboolean(L, token_source != NULL && token_source_is_asked(token_source, ticket_at(L, 2)));
  return 1;
}

/* [2, +0] */
static int release_credentials(lua_State *L) {
  struct session *session = client_session(L, 1);
  if (session != NULL) session_release_credentials(session, ticket_at(L, 2));
  return 0;
}

/* Sets `*which` to the next credential to supply to the client at index 1, for the ticket at index
 * 2. Returns false if there is none. [-0, +0, -] */
static bool next_of(lua_State *L, enum credential *which) {
  const struct token_source *token_source = token_source_of(L);
  return token_source != NULL && token_source_next_credential(token_source, ticket_at(L, 2), which);
}

/* [2, +0|1] */
static int next_credential(lua_State *L) {
  enum credential which;
  if (!next_of(L, &which)) return 0;
  lua_pushstring(L, credential_name(which));
  return 1;
}

/* Checks the results of a credential function, from index 3 on (see give_credential). If they
 * cannot be used, pushes a message and returns true. [-0, +(0|1), m] */
static bool push_fault(lua_State *L, const char *name) {
  const char *message = lua_tostring(L, lua_toboolean(L, 3) ? 5 : 4);
  if (!lua_toboolean(L, 3))
    lua_pushfstring(L, "%s: its function raised an error: %s", name,
                    message != NULL ? message : "nil");
  else if (lua_isnil(L, 4) && message == NULL)
    lua_pushfstring(L, "%s: its function returned nil without a message", name);
  else if (lua_isnil(L, 4))
    lua_pushfstring(L, "%s: its function returned nil: %s", name, message);
  else if (lua_type(L, 4) != LUA_TSTRING)
    lua_pushfstring(L, "%s: its function returned a %s, not a string", name, luaL_typename(L, 4));
  else if (strlen(lua_tostring(L, 4)) != lua_rawlen(L, 4))
    lua_pushfstring(L, "%s: its function returned a string with a NUL character", name);
  else
    return false;
  return true;
}

/* [5, +0] */
static int give_credential(lua_State *L) {
  enum credential which;
  char label[CREDENTIAL_LABEL_BYTES];
  lua_settop(L, 5);
  if (!next_of(L, &which)) return 0;
  if (push_fault(L, credential_name(which))) {
    struct session *session = client_session(L, 1);
    if (session != NULL)
      session_fail_credentials(session, ticket_at(L, 2), FAILURE_AUTH, lua_tostring(L, -1));
    return 0;
  }
  snprintf(label, sizeof label, "%s (from its function)", credential_name(which));
  session_give_credential(client_session(L, 1), ticket_at(L, 2), lua_tostring(L, 4), label);
  return 0;
}

/* The text of the file never becomes a Lua string, so that it can be overwritten after use. If the
 * file is a pipe by now, this does not wait for it, which would block the thread. [4, +0] */
static int read_credential(lua_State *L) {
  const char *path = lua_tostring(L, 3), *label = lua_tostring(L, 4);
  struct buffer line = {0};
  bool regular;
  enum credential which;
  if (!next_of(L, &which)) return 0;
  struct session *session = client_session(L, 1);
  struct failure failure = {0};
  if (secret_file_read(path, label, FAILURE_AUTH, 0, &line, &regular, &failure))
    session_give_credential(session, ticket_at(L, 2), line.data, label);
  else
    session_fail_credentials(session, ticket_at(L, 2), failure.kind, failure.message);
  buffer_free(&line);
  return 0;
}

void credentials_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"credentials_state", credentials_state},
                                       {"refuse_credentials", refuse_credentials},
                                       {"ask_credentials", ask_credentials},
                                       {"is_asked", is_asked},
                                       {"release_credentials", release_credentials},
                                       {"next_credential", next_credential},
                                       {"give_credential", give_credential},
                                       {"read_credential", read_credential},
                                       {NULL, NULL}};
  compat_setfuncs(L, functions);
}
