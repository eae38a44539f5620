#include "lua/request_body.h"

#include <string.h>

#include "lua/argument.h"
#include "lua/headers.h"
#include "lua/json_writer.h"
#include "lua/options.h"
#include "lua/text_buffer.h"

static const char name[] = "request";

const char *request_method(lua_State *L, int index) {
  static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  static const char expected[] =
      "method: expected \"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\" or "
      "\"DELETE\", got";
  if (lua_type(L, index) != LUA_TSTRING)
    argument_error(L, index - 1, name, "%s %s", expected, luaL_typename(L, index));
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    if (strcmp(lua_tostring(L, index), methods[i]) == 0) return methods[i];
  }
  argument_error(L, index - 1, name, "%s '%s'", expected, lua_tostring(L, index));
  return NULL; /* GCOVR_EXCL_LINE: argument_error does not return */
}

/* Pushes a text buffer with the option `body`; a table is written as JSON. [-0, +1, v] */
static void push_body(lua_State *L, int opts) {
  struct buffer *body = text_buffer_push(L);
  const char *wrong = NULL;
  lua_getfield(L, opts, "body");
  if (lua_type(L, -1) == LUA_TSTRING) {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    buffer_append(body, text, size);
  } else {
    wrong = json_write(L, body);
  }
  lua_pop(L, 1);
  if (wrong != NULL)
    argument_error(L, opts - 1, name, "option 'body': %s cannot be written as JSON", wrong);
  text_buffer_check(L, body);
}

/* Pushes the option `content_type`. [-0, +1, v] */
static void push_content_type(lua_State *L, int opts) {
  size_t size;
  lua_getfield(L, opts, "content_type");
  const char *text = lua_tolstring(L, -1, &size);
  if (size == 0 || !headers_is_value(text, size))
    argument_error(L, opts - 1, name, "option 'content_type': expected a media type");
}

void request_body_push(lua_State *L, int opts, bool has_body, bool has_content_type,
                       const char *method) {
  if (!has_body) {
    if (has_content_type)
      argument_error(L, opts - 1, name, "option 'content_type': there is no body");
    lua_pushnil(L);
    lua_pushnil(L);
    return;
  }
  if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
    argument_error(L, opts - 1, name, "option 'body': a %s request has no body", method);
  lua_getfield(L, opts, "body");
  bool is_json = lua_istable(L, -1);
  lua_pop(L, 1);
  if (!is_json && !has_content_type)
    argument_error(L, opts - 1, name, "option 'body': a string needs the option 'content_type'");
  push_body(L, opts);
  if (has_content_type)
    push_content_type(L, opts);
  else
    lua_pushliteral(L, "application/json");
}
