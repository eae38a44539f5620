/* Error messages about arguments of methods and of podero.new.
 *
 *   argument_error, argument_refuse_surplus, argument_refuse_self, argument_push_where */
#ifndef PODERO_ARGUMENT_H
#define PODERO_ARGUMENT_H

#include "lua/compat.h"

/* An argument of a method, or of podero.new, for messages. */
struct argument {
  int number;         /* from 1 on, without the client */
  const char *method; /* a static string */
};

/* Pushes "file:line: " of the code that called the running function or method of this module; "" if
 * that is not known. [-0, +1, m] */
void argument_push_where(lua_State *L);

/* Raises an error if an argument above the stack index `last` is not nil. `count`: how many
 * arguments `method` takes, not counting the client; for the message. [-0, +0, v] */
void argument_refuse_surplus(lua_State *L, int last, int count, const char *method);

/* Raises an error that names the method: the value at index 1 is no object of this type. Does not
 * return. [-0, +0, v] */
_Noreturn void argument_refuse_self(lua_State *L, const char *type, const char *method);

/* Raises the error "bad argument #n to 'method' (...)", with the position of the call. `format` is
 * that of lua_pushfstring. Does not return. [-0, +0, v] */
int argument_error(lua_State *L, int argument, const char *method, const char *format, ...);

#endif
