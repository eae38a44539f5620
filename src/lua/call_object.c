#include "lua/call_object.h"

#include <math.h>

#include "core/call.h"
#include "core/clock.h"
#include "core/event.h"
#include "core/syntax.h"
#include "lua/collector.h"
#include "lua/error.h"
#include "lua/json_value.h"
#include "lua/user_decoder.h"
#include "lua/user_value.h"

#define CALL_TYPE "podero.call"

/* on_progress is told at most this often. */
#define PROGRESS_SECONDS 0.1

/* each_user decodes pieces of this size, and lets the deadline have its say after this time. */
#define PIECE_BYTES ((size_t)16 * 1024)
#define PIECE_SECONDS 0.002

/* Beside a call. */
enum {
  VALUE_CLIENT = 1, /* keeps it alive */
  VALUE_DECODED,    /* what has been decoded so far; nobody outside is to see it before the end */
  VALUE_RESULT,     /* from here to VALUE_THIRD_RESULT: see keep_results */
  VALUE_SECOND_RESULT,
  VALUE_THIRD_RESULT,
  VALUE_STATE, /* user_push_state's, while a list is read; or json_value_push_state's */
  VALUE_ON_PROGRESS,
  VALUE_RAISED, /* an error to be raised once libcurl and the core are left */
  VALUES = VALUE_RAISED
};

/* What the core asks of the binding. */
enum question { ASK_BEGIN, ASK_FEED, ASK_END };

struct lua_call {
  struct session *session; /* held by `call` and by the client */
  struct call *call;       /* NULL once ended and its results are kept */
  enum method method;
  bool validate;
  bool has_on_progress;
  uint64_t max_response_bytes;
  bool raised;                 /* VALUE_RAISED is to be raised */
  bool completed;              /* keep_results has run to its end */
  double progress_at;          /* when on_progress was last told */
  struct event *event;         /* that on_event is being told of */
  struct user_decoder decoder; /* of METHOD_GET: not used */
  struct json_value value;     /* of METHOD_GET */
  bool busy;                   /* the call is being pushed forward */
  bool stopped;                /* while busy, by a finalizer: it ends when it is no longer busy */
  enum user_status status;     /* of decode_user, and how many bytes it has used */
  size_t used;
  /* Arguments of the question, see ask. */
  enum question question;
  const char *bytes;
  size_t size;
  struct failure *failure;
};

/* ---- what the core asks of the binding ---- */

/* A new attempt: what an earlier one has left is dropped. [0, 0] */
static void begin_value(lua_State *L, struct lua_call *c) {
  json_value_free(&c->value);
  json_value_init(&c->value, c->max_response_bytes);
  json_value_push_state(L);
  user_value_set(L, 1, VALUE_STATE);
}

/* Says that a body is not JSON. `cut_short`: it is the beginning of some, `offset` bytes long.
 * `rest`: to be appended. */
static void set_decode_failure(struct failure *failure, bool cut_short, uint64_t offset,
                               const char *message, const char *rest) {
  const char *what = !cut_short ? "not JSON" : offset == 0 ? "empty" : "cut short";
  failure_set(failure, FAILURE_DECODE, "the response is %s: %s%s", what, message, rest);
  failure->retryable = cut_short && offset > 0;
}

/* The decoder's error in the terms of the Lua interface. */
static void describe_value(const struct json_value_error *e, struct failure *failure) {
  switch (e->fault) {
  case JSON_VALUE_FAULT_NONE: break;
  case JSON_VALUE_FAULT_DECODE:
    set_decode_failure(failure, e->cut_short, e->offset, e->message, "");
    break;
  case JSON_VALUE_FAULT_TOO_LARGE: failure_set(failure, FAILURE_TOO_LARGE, "%s", e->message); break;
  case JSON_VALUE_FAULT_MEMORY: failure_set(failure, FAILURE_MEMORY, "out of memory"); break;
  }
}

/* [-0, +1, m] */
static void feed_value(lua_State *L, struct lua_call *c) {
  user_value_get(L, 1, VALUE_STATE);
  json_value_decode(L, &c->value, -1, c->bytes, c->size);
  describe_value(&c->value.error, c->failure);
}

/* [-0, +1, m] */
static void end_value(lua_State *L, struct lua_call *c) {
  user_value_get(L, 1, VALUE_STATE);
  if (json_value_end(L, &c->value, -1)) user_value_set(L, 1, VALUE_DECODED);
  describe_value(&c->value.error, c->failure);
}

/* Moves the decoder's state in Lua from the client to the call at index 1, or makes one. [0, 0] */
static void borrow_state(lua_State *L) {
  user_value_get(L, 1, VALUE_CLIENT);
  user_value_get(L, -1, CLIENT_STATE);
  if (lua_isnil(L, -1)) {
    user_push_state(L);
    lua_replace(L, -2);
  } else {
    lua_pushnil(L);
    user_value_set(L, -3, CLIENT_STATE);
  }
  user_value_set(L, 1, VALUE_STATE);
  lua_pop(L, 1);
}

/* And back. Only a whole list leaves nothing half done in it. [0, 0] */
static void return_state(lua_State *L) {
  user_value_get(L, 1, VALUE_CLIENT);
  user_value_get(L, 1, VALUE_STATE);
  user_value_set(L, -2, CLIENT_STATE);
  lua_pushnil(L);
  user_value_set(L, 1, VALUE_STATE);
  lua_pop(L, 1);
}

/* A new attempt: the users of an earlier one are dropped. [0, 0] */
static void begin_users(lua_State *L, struct lua_call *c) {
  user_decoder_free(&c->decoder);
  user_decoder_init(&c->decoder, c->validate, 0, c->max_response_bytes);
  borrow_state(L);
  if (c->method == METHOD_EACH_USER) return;
  lua_newtable(L);
  user_value_set(L, 1, VALUE_DECODED);
}

/* The decoder's error in the terms of the Lua interface. */
static void describe_decoder(const struct lua_call *c, struct failure *failure) {
  const struct user_error *e = &c->decoder.error;
  unsigned long long users = c->decoder.users;
  char after[48];
  switch (e->fault) {
  case USER_FAULT_NONE: return;
  case USER_FAULT_DECODE:
    snprintf(after, sizeof after, " (after %llu user%s)", users, users == 1 ? "" : "s");
    set_decode_failure(failure, e->cut_short, e->offset, e->message, after);
    break;
  case USER_FAULT_SCHEMA: failure_set(failure, FAILURE_SCHEMA, "%s", e->message); break;
  case USER_FAULT_TOO_LARGE: failure_set(failure, FAILURE_TOO_LARGE, "%s", e->message); break;
  case USER_FAULT_MEMORY: failure_set(failure, FAILURE_MEMORY, "out of memory"); break;
  }
  syntax_make_printable(failure->message);
}

/* [-0, +2, m] */
static void feed_users(lua_State *L, struct lua_call *c) {
  size_t used;
  user_value_get(L, 1, VALUE_STATE);
  user_value_get(L, 1, VALUE_DECODED);
  user_decode(L, &c->decoder, -2, -1, c->bytes, c->size, &used);
  describe_decoder(c, c->failure);
}

static void end_users(lua_State *L, struct lua_call *c) {
  if (user_decode_end(&c->decoder))
    return_state(L);
  else
    describe_decoder(c, c->failure);
}

/* Runs protected, with the call as its argument. [1, 0] */
static int answer_question(lua_State *L) {
  struct lua_call *c = lua_touserdata(L, 1);
  bool users = c->method != METHOD_GET;
  switch (c->question) {
  case ASK_BEGIN: users ? begin_users(L, c) : begin_value(L, c); break;
  case ASK_FEED: users ? feed_users(L, c) : feed_value(L, c); break;
  case ASK_END: users ? end_users(L, c) : end_value(L, c); break;
  }
  return 0;
}

/* The core's environment is the Lua state in which the call is being pushed forward; there, 1 is
 * the call and 2 is answer_question. Nothing here raises: errors of JSON are results, and where
 * memory is short, that is the failure. */
static void ask(lua_State *L, enum question question, const char *bytes, size_t size,
                struct failure *failure) {
  struct lua_call *c = lua_touserdata(L, 1);
  c->question = question;
  c->bytes = bytes;
  c->size = size;
  c->failure = failure;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  int code = lua_pcall(L, 1, 0, 0);
  if (code == 0) return;
  c->raised = code != LUA_ERRMEM;
  user_value_set(L, 1, VALUE_RAISED); /* the slot is there: nothing is allocated */
  failure_set(failure, FAILURE_MEMORY, "out of memory while reading the response");
}

static void begin(void *L, struct failure *failure) {
  ask(L, ASK_BEGIN, NULL, 0, failure);
}

static void feed(void *L, const char *bytes, size_t size, struct failure *failure) {
  const struct lua_call *c = lua_touserdata(L, 1);
  const struct json_reader *reader =
      c->method == METHOD_GET ? &c->value.reader : &c->decoder.reader;
  bool held = collector_hold(L, reader->token_offset + size);
  ask(L, ASK_FEED, bytes, size, failure);
  if (held) collector_release(L);
}

static void end(void *L, struct failure *failure) {
  ask(L, ASK_END, NULL, 0, failure);
}

static const struct call_binding binding = {
    .begin = begin,
    .feed = feed,
    .end = end,
};

/* ---- the caller's functions ---- */

static void end_call(struct lua_call *c) {
  event_free(c->event);
  c->event = NULL;
  call_free(c->call);
  c->call = NULL;
  user_decoder_free(&c->decoder);
  json_value_free(&c->value);
}

/* A call that a finalizer has stopped from within ends here. */
static void end_busy(struct lua_call *c) {
  c->busy = false;
  if (c->stopped) end_call(c);
}

static void stop_call(struct lua_call *c) {
  if (c->busy)
    c->stopped = true;
  else
    end_call(c);
}

/* Calls the caller's function with the arguments above it. An error there ends the call, and is
 * raised again as it came. [-(1 + arguments), +0] */
static void call_caller(lua_State *L, struct lua_call *c, int arguments) {
  if (lua_pcall(L, arguments, 0, 0) == 0) return;
  end_call(c);
  lua_error(L);
}

static void set_text(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, int64_t value) {
  compat_push_int64(L, value);
  lua_setfield(L, -2, key);
}

/* [0, +1] */
static void push_event(lua_State *L, const struct event *e) {
  lua_createtable(L, 0, 9);
  set_text(L, "type", "exchange");
  set_text(L, "purpose", e->for_token ? "token" : "api");
  set_text(L, "method", e->method);
  set_text(L, "url", e->url);
  if (e->status != 0) set_integer(L, "status", e->status);
  set_integer(L, "attempt", (int64_t)e->attempt);
  lua_pushnumber(L, e->seconds);
  lua_setfield(L, -2, "seconds");
  set_integer(L, "bytes", (int64_t)e->bytes);
  if (e->error_kind != FAILURE_NONE) set_text(L, "error_kind", failure_name(e->error_kind));
}

/* Tells on_event of the transfers of the call at index 1. [0, 0] */
static void tell_events(lua_State *L, struct lua_call *c) {
  while (c->call != NULL && (c->event = call_take_event(c->call)) != NULL) {
    user_value_get(L, 1, VALUE_CLIENT);
    user_value_get(L, -1, CLIENT_ON_EVENT);
    lua_remove(L, -2);
    push_event(L, c->event);
    event_free(c->event);
    c->event = NULL;
    call_caller(L, c, 1);
  }
}

/* Tells on_progress of the call at index 1 how far it is: now and then, and once at a good end.
 * [0, 0] */
static void tell_progress(lua_State *L, struct lua_call *c, bool ended) {
  if (!c->has_on_progress || c->call == NULL) return;
  double now = clock_monotonic();
  uint64_t bytes = call_received(c->call);
  bool due = ended ? call_result(c->call) == CALL_SUCCEEDED
                   : bytes > 0 && now - c->progress_at >= PROGRESS_SECONDS;
  if (!due) return;
  c->progress_at = now;
  user_value_get(L, 1, VALUE_ON_PROGRESS);
  compat_push_int64(L, (int64_t)bytes);
  compat_push_int64(L, (int64_t)c->decoder.users);
  call_caller(L, c, 2);
}

/* ---- pushing a call forward ---- */

int call_push_failure(lua_State *L, struct session *session, enum failure_kind kind,
                      const char *message) {
  struct failure failure = {0};
  failure_set(&failure, kind, "%s", message);
  lua_pushnil(L);
  error_push(L, &failure, session);
  return 2;
}

/* What client:token is to return; texts are borrowed. */
struct token_texts {
  const char *token, *scope; /* NULL: there is none */
  size_t token_size, scope_size;
};

static struct token_texts token_texts(struct token_source *token_source) {
  struct token_texts t = {0};
  unsigned generation;
  if (token_source == NULL) return t;
  t.token = token_source_token(token_source, true, &generation);
  t.scope = token_source_scope(token_source);
  t.token_size = t.token == NULL ? 0 : strlen(t.token);
  t.scope_size = t.scope == NULL ? 0 : strlen(t.scope);
  return t;
}

/* Pushes token, expiry and scope, or nil, an error and nil where the client was closed meanwhile:
 * if not before, then by a finalizer that runs as Lua allocates memory for the texts. [0, +3] */
static void push_token(lua_State *L, struct session *session) {
  double expires_at = 0;
  struct token_texts before = token_texts(session_token_source(session));
  char *copy = lua_newuserdata(L, before.token_size + before.scope_size + 1);
  struct token_source *token_source = session_token_source(session);
  struct token_texts now = token_texts(token_source);
  if (now.token == NULL || now.token_size != before.token_size ||
      now.scope_size != before.scope_size) {
    call_push_failure(L, session, FAILURE_CLOSED, "the client was closed during the call");
    lua_pushnil(L);
    lua_remove(L, -4);
    return;
  }
  bool expires = token_source_expires_at(token_source, &expires_at), has_scope = now.scope != NULL;
  memcpy(copy, now.token, now.token_size);
  if (has_scope) memcpy(copy + now.token_size, now.scope, now.scope_size);
  lua_pushlstring(L, copy, now.token_size);
  wipe(copy, now.token_size);
  if (expires)
    lua_pushnumber(L, expires_at);
  else
    lua_pushnil(L);
  if (has_scope)
    lua_pushlstring(L, copy + now.token_size, now.scope_size);
  else
    lua_pushnil(L);
  lua_remove(L, -4);
}

static const char *requested_url(const struct lua_call *c) {
  return c->call == NULL ? NULL : call_requested_url(c->call);
}

/* Sets the URL that was requested in the error on top. As Lua allocates memory for it, a finalizer
 * may close the client, which frees it. [0, 0] */
static void set_url(lua_State *L, const struct lua_call *c) {
  const char *url = requested_url(c);
  if (url == NULL) return;
  size_t size = strlen(url) + 1;
  char *copy = lua_newuserdata(L, size);
  url = requested_url(c);
  lua_insert(L, -2);
  if (url != NULL && strlen(url) + 1 == size) {
    memcpy(copy, url, size);
    error_set_url(L, copy, c->session);
  }
  lua_remove(L, -2);
}

/* Replaces the failure's body by a copy, which is pushed: a finalizer that stops the call would
 * free it. If one has done so just now, there is no body any more. [0, +1] */
static void push_body(lua_State *L, const struct lua_call *c, struct failure *failure) {
  struct buffer *body = &failure->body;
  char *copy = lua_newuserdata(L, body->size + 1);
  if (c->call == NULL) *body = (struct buffer){0};
  if (body->size > 0) memcpy(copy, body->data, body->size);
  body->data = copy;
}

/* Pushes nil and the error of a failed call. [0, +2] */
static void push_failure(lua_State *L, const struct lua_call *c, const struct failure *failure) {
  struct failure copy = *failure;
  lua_pushnil(L);
  push_body(L, c, &copy);
  error_push(L, &copy, c->session);
  wipe(copy.body.data, copy.body.size);
  lua_remove(L, -2);
  set_url(L, c);
  if (c->method == METHOD_EACH_USER) set_integer(L, "delivered", (int64_t)c->decoder.users);
}

/* Pushes the two results of a call that has succeeded, one of them nil. [0, +2] */
static void push_value(lua_State *L, const struct lua_call *c) {
  if (c->method == METHOD_AUTHORIZE)
    lua_pushboolean(L, true);
  else
    user_value_get(L, 1, VALUE_DECODED); /* nil for METHOD_EACH_USER */
  lua_pushnil(L);
}

/* Keeps the results of the call at index 1, which has ended, before a caller's function gets a
 * chance to close the client. The only way to results: a call that ends in any other way has none.
 * [0, 0] */
static void keep_results(lua_State *L, struct lua_call *c) {
  const struct failure *failure = call_failure(c->call);
  if (failure != NULL) {
    push_failure(L, c, failure);
  } else if (c->method == METHOD_TOKEN) {
    push_token(L, c->session);
    user_value_set(L, 1, VALUE_THIRD_RESULT);
  } else {
    push_value(L, c);
  }
  user_value_set(L, 1, VALUE_SECOND_RESULT);
  user_value_set(L, 1, VALUE_RESULT);
  c->completed = true;
}

/* Pushes the call at index 1, alone on the stack, forward for about so many seconds, driving its
 * client's transfers or not. Whether it has ended. answer_question is the upvalue. [0, +1, e] */
static bool push(lua_State *L, struct lua_call *c, double seconds, bool drive) {
  luaL_checkstack(L, 8, NULL);
  lua_pushvalue(L, lua_upvalueindex(1));
  if (c->busy) luaL_error(L, "a finalizer has come back to the call that it runs within");
  if (c->call == NULL) return true;
  c->busy = true;
  bool ended = call_step(c->call, L, seconds, drive);
  end_busy(c);
  if (c->raised) {
    end_call(c);
    user_value_get(L, 1, VALUE_RAISED);
    lua_error(L);
  }
  if (c->call == NULL) return true;
  if (ended) keep_results(L, c);
  if (session_lacks_descriptors(c->session))
    lua_gc(L, LUA_GCCOLLECT, 0); /* dropped calls have some */
  tell_events(L, c);
  tell_progress(L, c, ended);
  return ended;
}

/* step(call, seconds, drive) -> whether it has ended, whether it wants a token [3, +2] */
static int step(lua_State *L) {
  struct lua_call *c = lua_touserdata(L, 1);
  double seconds = lua_tonumber(L, 2);
  bool drive = lua_toboolean(L, 3);
  lua_settop(L, 1);
  lua_pushboolean(L, push(L, c, seconds, drive));
  lua_pushboolean(L, c->call != NULL && call_wants_token(c->call));
  return 2;
}

/* attend(call, seconds) -> whether it has ended. A step before and after a wait that blocks: most
 * calls need no more. [2, +1] */
static int attend(lua_State *L) {
  struct lua_call *c = lua_touserdata(L, 1);
  double seconds = lua_tonumber(L, 2);
  lua_settop(L, 1);
  bool ended = push(L, c, seconds, true);
  if (!ended) {
    call_block(c->call);
    lua_settop(L, 1);
    ended = push(L, c, seconds, true);
  }
  lua_pushboolean(L, ended);
  return 1;
}

/* ---- calls, one or a list ---- */

int calls_count(lua_State *L, int index) {
  return lua_isuserdata(L, index) ? 1 : (int)lua_rawlen(L, index);
}

/* The nth; the list keeps it alive. */
static struct lua_call *get(lua_State *L, int index, int n) {
  if (lua_isuserdata(L, index)) return lua_touserdata(L, index);
  lua_rawgeti(L, index, n);
  struct lua_call *c = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return c;
}

struct call *calls_get(lua_State *L, int index, int n) {
  return get(L, index, n)->call;
}

struct session *calls_session(lua_State *L, int index) {
  return calls_count(L, index) == 0 ? NULL : get(L, index, 1)->session;
}

/* finish(call, reusable) -> the results of the method; nil and an error if the call was stopped
 * before it had any, or has given them away [2, +2|3] */
static int finish(lua_State *L) {
  struct lua_call *c = lua_touserdata(L, 1);
  bool reusable = lua_toboolean(L, 2);
  lua_settop(L, 1);
  end_call(c);
  if (!c->completed) {
    struct failure stopped = {0};
    failure_set(&stopped, FAILURE_CLOSED, "the call was stopped");
    push_failure(L, c, &stopped);
    return 2;
  }
  c->completed = false;
  for (int slot = VALUE_RESULT; slot <= VALUE_THIRD_RESULT; slot++)
    user_value_get(L, 1, slot);
  for (int slot = VALUE_DECODED; slot <= VALUES; slot++) {
    lua_pushnil(L);
    user_value_set(L, 1, slot);
  }
  if (reusable) {
    user_value_get(L, 1, VALUE_CLIENT);
    lua_pushvalue(L, 1);
    user_value_set(L, -2, CLIENT_REUSABLE);
    lua_pop(L, 1);
  }
  while (lua_gettop(L) > 2 && lua_isnil(L, -1))
    lua_pop(L, 1);
  return lua_gettop(L) - 1;
}

/* Runs protected, with the call as its argument: the next user, if the bytes have one. [1, 0|1] */
static int decode_user(lua_State *L) {
  struct lua_call *c = lua_touserdata(L, 1);
  user_value_get(L, 1, VALUE_STATE);
  c->status = user_decode(L, &c->decoder, 2, 0, c->bytes, c->size, &c->used);
  return c->status == USER_READY ? 1 : 0;
}

/* What decode_user has come to: a user that was handed over, or nothing, or a failure. */
static void conclude_user(struct lua_call *c) {
  struct failure failure = {0};
  call_take(c->call, c->used);
  if (c->status == USER_READY) call_commit(c->call);
  describe_decoder(c, &failure);
  if (failure.kind != FAILURE_NONE) call_reject_body(c->call, &failure);
}

/* Decodes as much as is needed for a user, piece by piece, and not much longer than PIECE_SECONDS.
 * Returns lua_pcall's code, and replaces what is on the top: a user, nil or an error. [0, 0] */
static int decode_pieces(lua_State *L, struct lua_call *c) {
  double until = clock_monotonic() + PIECE_SECONDS;
  int code = 0;
  do {
    c->bytes = call_bytes(c->call, &c->size);
    if (c->bytes == NULL) break;
    if (c->size > PIECE_BYTES) c->size = PIECE_BYTES;
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    code = lua_pcall(L, 1, 1, 0);
    if (code == 0) conclude_user(c);
  } while (code == 0 && c->status == USER_MORE && clock_monotonic() < until);
  return code;
}

/* take(call) -> the next user of each_user, or nil where step comes first. Whatever a finalizer
 * does meanwhile, the bytes stay: the client is entered. decode_user is the upvalue. [1, +1] */
static int take(lua_State *L) {
  struct lua_call *c = lua_touserdata(L, 1);
  struct session *session = c->session;
  lua_settop(L, 1);
  lua_pushnil(L);
  if (c->call == NULL || !session_enter(session)) return 1;
  c->busy = true;
  int code = decode_pieces(L, c);
  session_leave(session);
  end_busy(c);
  if (code == 0) return 1;
  end_call(c);
  return lua_error(L);
}

/* __close, and of stop: ends the call. [1.., 0] */
static int stop_one(lua_State *L) {
  stop_call(lua_touserdata(L, 1));
  return 0;
}

/* __gc. A reusable call must not be used once more, as in a finalizer that uses the client: its own
 * finalizer will not run again. [1, 0] */
static int call_gc(lua_State *L) {
  user_value_get(L, 1, VALUE_CLIENT);
  if (lua_isuserdata(L, -1)) {
    user_value_get(L, -1, CLIENT_REUSABLE);
    if (lua_touserdata(L, -1) == lua_touserdata(L, 1)) {
      lua_pushnil(L);
      user_value_set(L, -3, CLIENT_REUSABLE);
    }
  }
  lua_settop(L, 1);
  return stop_one(L);
}

/* stop(calls) [1, 0] */
static int stop(lua_State *L) {
  int count = calls_count(L, 1);
  for (int n = 1; n <= count; n++)
    stop_call(get(L, 1, n));
  return 0;
}

void call_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"finish", finish}, {"stop", stop}, {NULL, NULL}};
  compat_setfuncs(L, functions);
  lua_pushcfunction(L, answer_question);
  lua_pushcclosure(L, step, 1);
  lua_setfield(L, -2, "step");
  lua_pushcfunction(L, answer_question);
  lua_pushcclosure(L, attend, 1);
  lua_setfield(L, -2, "attend");
  lua_pushcfunction(L, decode_user);
  lua_pushcclosure(L, take, 1);
  lua_setfield(L, -2, "take");
}

void call_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"__gc", call_gc}, {"__close", stop_one}, {NULL, NULL}};
  luaL_newmetatable(L, CALL_TYPE);
  compat_setfuncs(L, functions);
  lua_pushliteral(L, CALL_TYPE); /* each_user hands calls out: what is in here takes nothing else */
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

/* ---- a new call ---- */

static enum call_mode mode_of(enum method method) {
  switch (method) {
  case METHOD_LIST_USERS:
  case METHOD_LIST_USERS_OF: return CALL_STREAMED;
  case METHOD_EACH_USER: return CALL_PULLED;
  case METHOD_GET: return CALL_WHOLE;
  case METHOD_AUTHORIZE:
  case METHOD_TOKEN: return CALL_TOKEN_ONLY;
  }
  return CALL_TOKEN_ONLY; /* GCOVR_EXCL_LINE: every method is named above */
}

/* Pushes the reusable call of the client at index 1, or a new one. [-0, +1, m] */
static struct lua_call *push_object(lua_State *L) {
  user_value_get(L, 1, CLIENT_REUSABLE);
  struct lua_call *c = lua_touserdata(L, -1);
  if (c != NULL) {
    lua_pushnil(L);
    user_value_set(L, 1, CLIENT_REUSABLE);
    *c = (struct lua_call){0};
  } else {
    lua_pop(L, 1);
    c = user_value_new_object(L, sizeof *c, VALUES, CALL_TYPE);
    lua_pushvalue(L, 1);
    user_value_set(L, -2, VALUE_CLIENT);
  }
  return c;
}

int call_push_new(lua_State *L, struct session *session, enum method method, bool validate,
                  const char *path, const char *query, const struct method_options *options,
                  int opts) {
  struct call_options call_options = {
      .binding = &binding,
      .mode = mode_of(method),
      .path = path,
      .query = query,
      .timeout = options->timeout,
      .max_retries = options->max_retries,
      .max_response_bytes = options->max_response_bytes,
  };
  struct lua_call *c = push_object(L);
  c->session = session;
  c->method = method;
  c->validate = validate;
  c->has_on_progress = options->has_on_progress;
  c->max_response_bytes = options->max_response_bytes;
  if (options->has_on_progress) {
    c->progress_at = clock_monotonic();
    lua_getfield(L, opts, "on_progress");
    user_value_set(L, -2, VALUE_ON_PROGRESS);
  }
  c->call = call_new(session, &call_options);
  if (c->call != NULL) return 1;
  if (session_is_closed(session)) /* by a finalizer that has run as Lua allocated memory */
    return call_push_failure(L, session, FAILURE_CLOSED, "the client is closed");
  return call_push_failure(L, session, FAILURE_MEMORY, "out of memory");
}
