#include "lua/options.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lua/argument.h"
#include "lua/credential_options.h"
#include "version.h"

#define USER_AGENT "podero-lua/" PODERO_VERSION

/* ---- tables of options ---- */

/* Types of options. The comments give the type of the struct member that the option sets. */
enum option_type {
  OPTION_STRING,   /* char *, owned; not empty */
  OPTION_TEXT,     /* char *, owned; may be empty */
  OPTION_SECRET,   /* char *, owned, not empty; for a function, a bit of session.supplied instead */
  OPTION_SECONDS,  /* double, above 0 */
  OPTION_COUNT,    /* unsigned */
  OPTION_POSITIVE, /* unsigned, above 0 */
  OPTION_BYTES,    /* uint64_t, above 0 */
  OPTION_BOOLEAN,  /* bool */
  OPTION_ENCODING, /* enum token_encoding */
  OPTION_AUTH,     /* enum client_auth */
  OPTION_HTTP,     /* enum http_version */
  OPTION_TLS,      /* none; a table of tls_options */
  OPTION_FUNCTION, /* bool, whether it was given */
  OPTION_TABLE,    /* bool, whether it was given */
  OPTION_HEADERS,  /* bool, whether it was given; a table or a function that returns one */
  OPTION_BODY,     /* bool, whether it was given; a table or a string */
  OPTION_NAME,     /* bool, whether it was given; a string */
  OPTION_FILTER,   /* bool, whether it was given; user_filter_push checks the value */
  OPTION_LOG,      /* none; a level or a function, see read_log */
  OPTION_STORE     /* bool, whether it was given; an object with methods get and set */
};

/* An option of a list. The last one has the name NULL. */
struct option {
  const char *name;
  enum option_type type;
  size_t offset; /* of the struct member */
};

#define SESSION(member) offsetof(struct client_options, session.member)

static const struct option client_options[] = {
    {"base_url", OPTION_STRING, SESSION(base_url)},
    {"client_id", OPTION_STRING, SESSION(client_id)},
    {"client_secret", OPTION_SECRET, SESSION(client_secret)},
    {"username", OPTION_STRING, SESSION(username)},
    {"password", OPTION_SECRET, SESSION(password)},
    {"access_token", OPTION_SECRET, SESSION(access_token)},
    {"client_secret_file", OPTION_STRING, SESSION(files[CREDENTIAL_CLIENT_SECRET])},
    {"password_file", OPTION_STRING, SESSION(files[CREDENTIAL_PASSWORD])},
    {"access_token_file", OPTION_STRING, SESSION(files[CREDENTIAL_ACCESS_TOKEN])},
    {"token_url", OPTION_STRING, SESSION(token_url)},
    {"token_encoding", OPTION_ENCODING, SESSION(token_encoding)},
    {"client_auth", OPTION_AUTH, SESSION(client_auth)},
    {"scope", OPTION_STRING, SESSION(scope)},
    {"timeout", OPTION_SECONDS, SESSION(timeout)},
    {"connect_timeout", OPTION_SECONDS, SESSION(connect_timeout)},
    {"max_retries", OPTION_COUNT, SESSION(max_retries)},
    {"max_connections", OPTION_POSITIVE, SESSION(max_connections)},
    {"max_response_bytes", OPTION_BYTES, SESSION(max_response_bytes)},
    {"validate", OPTION_BOOLEAN, offsetof(struct client_options, validate)},
    {"allow_http", OPTION_BOOLEAN, SESSION(allow_http)},
    {"tls", OPTION_TLS, 0},
    {"proxy", OPTION_TEXT, SESSION(proxy)},
    {"http_version", OPTION_HTTP, SESSION(http_version)},
    {"user_agent", OPTION_STRING, SESSION(user_agent)},
    {"token_store", OPTION_STORE, SESSION(has_store)},
    {"wait", OPTION_FUNCTION, offsetof(struct client_options, has_wait)},
    {"headers", OPTION_HEADERS, offsetof(struct client_options, has_headers)},
    {"on_event", OPTION_FUNCTION, offsetof(struct client_options, has_on_event)},
    {"log", OPTION_LOG, 0},
    {NULL, OPTION_STRING, 0},
};

static const struct option tls_options[] = {
    {"ca_file", OPTION_STRING, SESSION(ca_file)},
    {"ca_path", OPTION_STRING, SESSION(ca_path)},
    {"cert", OPTION_STRING, SESSION(cert)},
    {"key", OPTION_STRING, SESSION(key)},
    {"key_password", OPTION_SECRET, SESSION(key_password)},
    {"verify", OPTION_BOOLEAN, SESSION(verify)},
    {NULL, OPTION_STRING, 0},
};

static const struct option call_options[] = {
    {"timeout", OPTION_SECONDS, offsetof(struct method_options, timeout)},
    {"max_retries", OPTION_COUNT, offsetof(struct method_options, max_retries)},
    {"headers", OPTION_HEADERS, offsetof(struct method_options, has_headers)},
    {NULL, OPTION_STRING, 0},
};

static const struct option size_options[] = {
    {"max_response_bytes", OPTION_BYTES, offsetof(struct method_options, max_response_bytes)},
    {NULL, OPTION_STRING, 0},
};

static const struct option list_options[] = {
    {"include_deleted", OPTION_BOOLEAN, offsetof(struct method_options, include_deleted)},
    {"query", OPTION_TABLE, offsetof(struct method_options, has_query)},
    {NULL, OPTION_STRING, 0},
};

#define FILTER offsetof(struct method_options, has_filter)

static const struct option filter_options[] = {
    {"fields", OPTION_FILTER, FILTER},
    {"role", OPTION_FILTER, FILTER},
    {"search", OPTION_FILTER, FILTER},
    {"on_invalid", OPTION_FUNCTION, offsetof(struct method_options, has_on_invalid)},
    {NULL, OPTION_STRING, 0},
};

/* List options that find_user does not take. */
static const struct option part_options[] = {
    {"where", OPTION_FILTER, FILTER},
    {"limit", OPTION_FILTER, FILTER},
    {NULL, OPTION_STRING, 0},
};

static const struct option progress_options[] = {
    {"on_progress", OPTION_FUNCTION, offsetof(struct method_options, has_on_progress)},
    {NULL, OPTION_STRING, 0},
};

static const struct option many_options[] = {
    {"concurrency", OPTION_POSITIVE, offsetof(struct method_options, concurrency)},
    {NULL, OPTION_STRING, 0},
};

static const struct option raw_options[] = {
    {"raw", OPTION_BOOLEAN, offsetof(struct method_options, raw)},
    {NULL, OPTION_STRING, 0},
};

static const struct option request_options[] = {
    {"query", OPTION_TABLE, offsetof(struct method_options, has_query)},
    {"body", OPTION_BODY, offsetof(struct method_options, has_body)},
    {"content_type", OPTION_NAME, offsetof(struct method_options, has_content_type)},
    {NULL, OPTION_STRING, 0},
};

/* Name and options of each method, in the order of enum method. */
static const struct {
  const char *name;
  const struct option *lists[7];
} methods[] = {
    {"list_users",
     {call_options, size_options, list_options, filter_options, part_options, progress_options,
      NULL}},
    {"each_user",
     {call_options, size_options, list_options, filter_options, part_options, progress_options,
      NULL}},
    {"find_user",
     {call_options, size_options, list_options, filter_options, progress_options, NULL}},
    {"list_users_of",
     {call_options, size_options, list_options, filter_options, part_options, many_options, NULL}},
    {"list_users_of",
     {call_options, size_options, list_options, filter_options, part_options, many_options, NULL}},
    {"get", {call_options, size_options, raw_options, NULL}},
    {"request", {call_options, size_options, raw_options, request_options, NULL}},
    {"token", {NULL}},
};

/* ---- reading an options table ---- */

/* What the functions that read an options table share. */
struct option_reader {
  lua_State *L;
  int argument;       /* number of the argument, for messages */
  const char *method; /* name of the method, for messages */
  const char *prefix; /* of option names in messages: "" or "tls." */
  char *target;       /* the struct whose members are set */
};

/* Raises an error about the type of the option whose value is on top. [-0, +0, v] */
static void fail_option(const struct option_reader *reader, const char *name,
                        const char *expected) {
  const char *got = luaL_typename(reader->L, -1);
  argument_error(reader->L, reader->argument, reader->method, "option '%s%s': expected %s, got %s",
                 reader->prefix, name, expected, got);
}

/* Raises an error about the value of an option. [-0, +0, v] */
static void fail_value(const struct option_reader *reader, const char *name, const char *expected) {
  argument_error(reader->L, reader->argument, reader->method, "option '%s%s': expected %s",
                 reader->prefix, name, expected);
}

/* The functions below read the value on top of the stack, and raise an error if the option cannot
 * have it. [-0, +0, v] */

static void read_string(const struct option_reader *reader, const struct option *o) {
  if (lua_type(reader->L, -1) != LUA_TSTRING)
    fail_option(reader, o->name, o->type == OPTION_SECRET ? "a string or a function" : "a string");
  size_t size;
  const char *text = lua_tolstring(reader->L, -1, &size);
  if (strlen(text) != size) fail_value(reader, o->name, "a string without NUL characters");
  if (size == 0 && o->type != OPTION_TEXT) fail_value(reader, o->name, "a non-empty string");
  char **member = (char **)(void *)(reader->target + o->offset);
  secret_free(*member);
  *member = text_copy(text);
  if (*member == NULL) luaL_error(reader->L, "not enough memory");
}

/* For podero.new only: the target is a struct client_options. */
static void read_secret(const struct option_reader *reader, const struct option *o) {
  struct client_options *out = (struct client_options *)(void *)reader->target;
  enum credential which;
  if (lua_isfunction(reader->L, -1) && credential_find(o->name, &which))
    out->session.supplied |= CREDENTIAL_BIT(which);
  else
    read_string(reader, o);
}

static lua_Number read_number(const struct option_reader *reader, const struct option *o,
                              const char *expected) {
  if (lua_type(reader->L, -1) != LUA_TNUMBER) fail_option(reader, o->name, expected);
  return lua_tonumber(reader->L, -1);
}

static void read_seconds(const struct option_reader *reader, const struct option *o) {
  lua_Number n = read_number(reader, o, "a number of seconds");
  if (!(n > 0)) fail_value(reader, o->name, "a number of seconds above 0");
  *(double *)(void *)(reader->target + o->offset) = n < 1e9 ? n : 1e9;
}

static void read_count(const struct option_reader *reader, const struct option *o) {
  lua_Number n = read_number(reader, o, "a whole number");
  if (!(n >= 0 && n <= 1e6 && floor(n) == n))
    fail_value(reader, o->name, "a whole number from 0 to 1000000");
  if (n == 0 && o->type == OPTION_POSITIVE) fail_value(reader, o->name, "at least 1");
  *(unsigned *)(void *)(reader->target + o->offset) = (unsigned)n;
}

static void read_bytes(const struct option_reader *reader, const struct option *o) {
  lua_Number n = read_number(reader, o, "a number of bytes");
  if (!(n >= 1)) fail_value(reader, o->name, "a number of bytes above 0");
  *(uint64_t *)(void *)(reader->target + o->offset) = n < 9e15 ? (uint64_t)n : (uint64_t)9e15;
}

static void read_boolean(const struct option_reader *reader, const struct option *o) {
  if (!lua_isboolean(reader->L, -1)) fail_option(reader, o->name, "a boolean");
  *(bool *)(reader->target + o->offset) = lua_toboolean(reader->L, -1) != 0;
}

/* Returns the index of the string on top in `names`, which ends with NULL. */
static int read_choice(const struct option_reader *reader, const struct option *o,
                       const char *const *names, const char *expected) {
  if (lua_type(reader->L, -1) != LUA_TSTRING) fail_option(reader, o->name, expected);
  for (int i = 0; names[i] != NULL; i++) {
    if (strcmp(lua_tostring(reader->L, -1), names[i]) == 0) return i;
  }
  fail_value(reader, o->name, expected);
  return 0; /* GCOVR_EXCL_LINE: fail_value does not return */
}

static void read_encoding(const struct option_reader *reader, const struct option *o) {
  static const char *const names[] = {"auto", "form", "json", NULL}; /* enum token_encoding */
  *(enum token_encoding *)(void *)(reader->target + o->offset) =
      (enum token_encoding)read_choice(reader, o, names, "\"auto\", \"form\" or \"json\"");
}

static void read_auth(const struct option_reader *reader, const struct option *o) {
  static const char *const names[] = {"auto", "basic", "body", NULL}; /* enum client_auth */
  *(enum client_auth *)(void *)(reader->target + o->offset) =
      (enum client_auth)read_choice(reader, o, names, "\"auto\", \"basic\" or \"body\"");
}

static void read_http_version(const struct option_reader *reader, const struct option *o) {
  static const char *const names[] = {"auto", "1.1", NULL}; /* enum http_version */
  *(enum http_version *)(void *)(reader->target + o->offset) =
      (enum http_version)read_choice(reader, o, names, "\"auto\" or \"1.1\"");
}

static void read_function(const struct option_reader *reader, const struct option *o) {
  if (!lua_isfunction(reader->L, -1)) fail_option(reader, o->name, "a function");
  *(bool *)(reader->target + o->offset) = true;
}

/* Notes that the option was given. Its value, of one of two Lua types, is read elsewhere. */
static void read_given(const struct option_reader *reader, const struct option *o, int type,
                       int other_type, const char *expected) {
  int got = lua_type(reader->L, -1);
  if (got != type && got != other_type) fail_option(reader, o->name, expected);
  *(bool *)(reader->target + o->offset) = true;
}

/* Returns the level with this name, or LOG_OFF if there is none. */
static enum log_level find_level(const char *text) {
  for (enum log_level level = LOG_INFO; level <= LOG_DEBUG; level++) {
    if (strcmp(text, log_level_name(level)) == 0) return level;
  }
  return LOG_OFF;
}

/* For podero.new only: the target is a struct client_options. */
static void read_log(const struct option_reader *reader, const struct option *o) {
  static const char expected[] = "\"info\", \"debug\" or a function";
  struct client_options *out = (struct client_options *)(void *)reader->target;
  out->has_log_function = lua_isfunction(reader->L, -1);
  if (out->has_log_function) {
    out->log = LOG_DEBUG;
    return;
  }
  if (lua_type(reader->L, -1) != LUA_TSTRING) fail_option(reader, o->name, expected);
  out->log = find_level(lua_tostring(reader->L, -1));
  if (out->log == LOG_OFF) fail_value(reader, o->name, expected);
}

/* A token store is a table or a userdata, whose methods may come from an __index. */
static void read_store(const struct option_reader *reader, const struct option *o) {
  static const char expected[] = "an object with methods get and set";
  if (!lua_istable(reader->L, -1) && !lua_isuserdata(reader->L, -1))
    fail_option(reader, o->name, expected);
  lua_getfield(reader->L, -1, "get");
  lua_getfield(reader->L, -2, "set");
  bool fine = !lua_isnil(reader->L, -1) && !lua_isnil(reader->L, -2);
  lua_pop(reader->L, 2);
  if (!fine) fail_value(reader, o->name, expected);
  *(bool *)(reader->target + o->offset) = true;
}

static void read_table(const struct option_reader *reader, const struct option *const *lists);

static void read_tls(const struct option_reader *reader, const struct option *o) {
  if (!lua_istable(reader->L, -1)) fail_option(reader, o->name, "a table");
  static const struct option *const lists[] = {tls_options, NULL};
  struct option_reader inner = *reader;
  inner.prefix = "tls.";
  read_table(&inner, lists);
}

static void read_option(const struct option_reader *reader, const struct option *o) {
  switch (o->type) {
  case OPTION_STRING:
  case OPTION_TEXT: read_string(reader, o); break;
  case OPTION_SECRET: read_secret(reader, o); break;
  case OPTION_SECONDS: read_seconds(reader, o); break;
  case OPTION_COUNT:
  case OPTION_POSITIVE: read_count(reader, o); break;
  case OPTION_BYTES: read_bytes(reader, o); break;
  case OPTION_BOOLEAN: read_boolean(reader, o); break;
  case OPTION_ENCODING: read_encoding(reader, o); break;
  case OPTION_AUTH: read_auth(reader, o); break;
  case OPTION_HTTP: read_http_version(reader, o); break;
  case OPTION_TLS: read_tls(reader, o); break;
  case OPTION_FUNCTION: read_function(reader, o); break;
  case OPTION_TABLE: read_given(reader, o, LUA_TTABLE, LUA_TTABLE, "a table"); break;
  case OPTION_HEADERS:
    read_given(reader, o, LUA_TTABLE, LUA_TFUNCTION, "a table or a function");
    break;
  case OPTION_BODY: read_given(reader, o, LUA_TTABLE, LUA_TSTRING, "a table or a string"); break;
  case OPTION_NAME: read_given(reader, o, LUA_TSTRING, LUA_TSTRING, "a string"); break;
  case OPTION_FILTER: *(bool *)(reader->target + o->offset) = true; break;
  case OPTION_LOG: read_log(reader, o); break;
  case OPTION_STORE: read_store(reader, o); break;
  }
}

/* Returns the option with this name, or NULL if the lists have none. */
static const struct option *find_option(const struct option *const *lists, const char *name) {
  for (; *lists != NULL; lists++) {
    for (const struct option *o = *lists; o->name != NULL; o++) {
      if (strcmp(o->name, name) == 0) return o;
    }
  }
  return NULL;
}

/* If the options table at `index` has an __index, replaces it by a plain table with its fields and
 * with what __index gives for each option of the lists. So __index is used once for each name.
 * [-0, +0, e] */
static void flatten(lua_State *L, int index, const struct option *const *lists) {
  index = lua_absindex(L, index);
  if (!luaL_getmetafield(L, index, "__index")) return;
  lua_pop(L, 1);
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  for (; *lists != NULL; lists++) {
    for (const struct option *o = *lists; o->name != NULL; o++) {
      lua_getfield(L, index, o->name);
      lua_setfield(L, -2, o->name);
    }
  }
  lua_replace(L, index);
}

/* Reads the options table on top. [-0, +0, v] */
static void read_table(const struct option_reader *reader, const struct option *const *lists) {
  lua_State *L = reader->L;
  if (!lua_checkstack(L, 8))
    luaL_error(L, "not enough memory"); /* luaL_checkstack has another message */
  flatten(L, -1, lists);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      argument_error(L, reader->argument, reader->method, "option names must be strings, got %s",
                     luaL_typename(L, -2));
    const char *name = lua_tostring(L, -2);
    const struct option *o = find_option(lists, name);
    if (o == NULL)
      argument_error(L, reader->argument, reader->method, "unknown option '%s%s'", reader->prefix,
                     name);
    else
      read_option(reader, o);
    lua_pop(L, 1);
  }
}

/* Reads the options table at `index`, which may be nil or absent. [-0, +0, v] */
static void read_argument(const struct option_reader *reader, int index,
                          const struct option *const *lists) {
  if (lua_isnoneornil(reader->L, index)) return;
  if (!lua_istable(reader->L, index))
    argument_error(reader->L, reader->argument, reader->method, "table expected, got %s",
                   luaL_typename(reader->L, index));
  flatten(reader->L, index, lists);
  lua_pushvalue(reader->L, index);
  read_table(reader, lists);
  lua_pop(reader->L, 1);
}

/* ---- options of a client ---- */

bool options_read_environment(lua_State *L, char **text, const char *variable) {
  const char *value = getenv(variable);
  if (*text != NULL || value == NULL || *value == '\0') return false;
  *text = text_copy(value);
  if (*text == NULL) luaL_error(L, "not enough memory");
  return true;
}

/* Frees `*text` and sets it to a new text, `first` followed by `second`. Either may be `*text`
 * itself. Raises an error on out of memory. [-0, +0, v] */
static void join(lua_State *L, char **text, const char *first, const char *second) {
  struct buffer joined = {0};
  buffer_add(&joined, first);
  buffer_add(&joined, second);
  if (joined.failed) {
    buffer_free(&joined);
    luaL_error(L, "not enough memory");
  }
  secret_free(*text);
  *text = joined.data;
}

/* Sets URLs that were not given from the environment, or to the defaults. Raises an error on out of
 * memory. [-0, +0, v] */
static void complete_urls(lua_State *L, struct session_options *o) {
  o->base_url_from_environment = options_read_environment(L, &o->base_url, "PODERO_BASE_URL");
  o->token_url_from_environment = options_read_environment(L, &o->token_url, "PODERO_TOKEN_URL");
  if (o->base_url == NULL) join(L, &o->base_url, PODERO_PRODUCTION, "");
  size_t size = strlen(o->base_url);
  while (size > 0 && o->base_url[size - 1] == '/')
    o->base_url[--size] = '\0';
  if (o->token_url == NULL) join(L, &o->token_url, TOKEN_URL_AUTO, "");
  if (o->token_url[0] == '/') join(L, &o->token_url, o->base_url, o->token_url);
}

/* Reads PODERO_LOG if the option `log` was not given. Returns false and fills `failure` if the
 * variable is not a level. */
static bool complete_log(struct client_options *out, struct failure *failure) {
  const char *value = getenv("PODERO_LOG");
  if (out->log != LOG_OFF || value == NULL || *value == '\0') return true;
  out->log = find_level(value);
  if (out->log != LOG_OFF) return true;
  failure_set(failure, FAILURE_ARGUMENT, "PODERO_LOG: expected \"info\" or \"debug\"");
  return false;
}

bool options_read_client(lua_State *L, int index, struct client_options *out,
                         struct failure *failure) {
  static const struct option *const lists[] = {client_options, NULL};
  struct option_reader reader = {
      .L = L, .argument = index, .method = "new", .prefix = "", .target = (char *)out};
  struct session_options *o = &out->session;
  o->timeout = 30;
  o->connect_timeout = 10;
  o->max_retries = 2;
  o->max_connections = 256;
  o->verify = true;
  out->validate = true;
  read_argument(&reader, index, lists);
  out->has_max_response_bytes = o->max_response_bytes != 0;
  if (!out->has_max_response_bytes) o->max_response_bytes = OPTIONS_MAX_RESPONSE_BYTES;
  credential_options_complete(L, o);
  complete_urls(L, o);
  if (o->user_agent != NULL) join(L, &o->user_agent, o->user_agent, " ");
  join(L, &o->user_agent, o->user_agent != NULL ? o->user_agent : "", USER_AGENT);
  if (!complete_log(out, failure)) return false;
  o->record_events = out->has_on_event || out->log != LOG_OFF;
  if (!credential_options_check(L, o, failure)) return false;
  /* A token store keeps only tokens that were fetched. */
  if (o->supplied & CREDENTIAL_BIT(CREDENTIAL_ACCESS_TOKEN)) o->has_store = false;
  return true;
}

/* ---- options of a method ---- */

const char *options_method_name(enum method method) {
  return methods[method].name;
}

void options_read_method(lua_State *L, int index, enum method method,
                         const struct session_options *defaults, struct method_options *out) {
  bool keeps_nothing = method == METHOD_EACH_USER || method == METHOD_FIND_USER;
  *out = (struct method_options){
      .timeout = defaults->timeout,
      .max_retries = defaults->max_retries,
      .max_response_bytes = keeps_nothing ? UINT64_MAX : defaults->max_response_bytes,
      .concurrency = 8,
  };
  struct option_reader reader = {.L = L,
                                 .argument = index - 1, /* messages do not count the client */
                                 .method = methods[method].name,
                                 .prefix = "",
                                 .target = (char *)out};
  read_argument(&reader, index, methods[method].lists);
}
