/* Error messages about arguments of methods and of podero.new.
 *
 *   argument_error, argument_refuse_surplus, argument_refuse_self, argument_push_where */
#ifndef PODERO_ARGUMENT_H
#define PODERO_ARGUMENT_H

#include "lua/compat.h"

/* Names an argument of a method or of podero.new in messages. */
struct argument {
  int number;         /* from 1 on, not counting the client */
  const char *method; /* a static string */
};

/* Pushes "file:line: " for the code that called the running function or method of this module, or
 * "" if its position is not known. [-0, +1, m] */
void argument_push_where(lua_State *L);

/* Raises an error if a value above the stack index `last` is not nil. `count`: the number of
 * arguments that `method` takes, not counting the client, for the message. [-0, +0, v] */
void argument_refuse_surplus(lua_State *L, int last, int count, const char *method);

/* Raises the error that a method was called with something else than a `type` at index 1. Never
 * returns. [-0, +0, v] */
_Noreturn void argument_refuse_self(lua_State *L, const char *type, const char *method);

/* Raises the error "bad argument #n to 'method' (...)", with the position of the caller. `format`
 * is as for lua_pushfstring. Never returns; has a result for `return argument_error(...)`.
 * [-0, +0, v] */
int argument_error(lua_State *L, int argument, const char *method, const char *format, ...);

#endif
