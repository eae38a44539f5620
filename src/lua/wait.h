/* How a call waits: what the loops of lua/methods wait with. */
#ifndef PODERO_WAIT_H
#define PODERO_WAIT_H

#include "lua/compat.h"

/* Registers what bells need. [-0, +0, m] */
void wait_open(lua_State *L);

/* Sets in the table on top what the loops wait with; `calls` is a call or a list of calls, which
 * have not ended. [-0, +0, m]
 *   clock() -> seconds on the monotonic clock
 *   due(calls [, timers]) -> seconds until a pause or a time limit of theirs ends; `timers`: or one
 *                            of libcurl's timers is due
 *   pending(calls) -> nil where there is nothing to do, else how many bytes wait to be read
 *   drive(calls, seconds) -> whether a call of the client, any one, may have something to do now
 *   block(calls): until there is something to do
 *   lend_bell(calls) -> a bell of the client, or nil; give_back(bell)
 *   set_bell(calls, bell): the bell that is rung when these calls have something to do
 *   serves(bell) -> whether it can still be waited on; descriptor(bell) -> what to wait on
 *   listen(bell) -> whether the descriptor was readable; hushes the bell */
void wait_set_functions(lua_State *L);

#endif
