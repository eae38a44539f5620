/* Detects keys of a body that collide in Lua's tables, before there are too many.
 *
 * Of a long key, Lua 5.1 to 5.3 hash only every second or third byte, or fewer, and 5.1 has no
 * seed: a server can send keys that all have the same hash. Lua then compares each key with all
 * keys before it, and again when the table grows, which cannot be interrupted: with ten thousand
 * keys, this takes seconds.
 *
 * So the hash of Lua 5.1 is computed for each key, and the number of pairs of keys in the same
 * object that share a hash is estimated: each object and hash has a random sign, the signs of all
 * keys are added, and the square of the sum has the number of such pairs as its mean (N. Alon, Y.
 * Matias, M. Szegedy, The Space Complexity of Approximating the Frequency Moments, 1996). Several
 * such sums make the estimate more exact.
 *
 * On other Luas this does nothing. */
#ifndef PODERO_KEY_COLLISIONS_H
#define PODERO_KEY_COLLISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/compat.h"

#if LUA_VERSION_NUM < 504 && !defined LUA_LJDIR /* LuaJIT's luaconf.h has it */
#define KEY_COLLISIONS 1
#else
#define KEY_COLLISIONS 0
#endif

#define KEY_COLLISIONS_TOO_MANY "an object has too many keys that collide in Lua's tables"

#define KEY_COLLISIONS_SIGNS 16

/* Pairs of keys, each counted twice, that may share a hash: a table of 8,000 keys with the same. */
#define KEY_COLLISIONS_MAX 64e6

/* All zero has seen no key. */
struct key_collisions {
  uint64_t keys;
  int32_t sums[KEY_COLLISIONS_SIGNS];
};

/* The low bits of luaS_newlstr's hash in Lua 5.1. */
static inline uint64_t key_collisions_hash(const char *key, size_t size) {
  uint32_t hash = (uint32_t)size;
  size_t stride = (size >> 5) + 1;
  for (size_t i = size; i >= stride; i -= stride)
    hash ^= (hash << 5) + (hash >> 2) + (unsigned char)key[i - 1];
  return hash & 0xFFFF;
}

/* Counts a key of an object, which `object` identifies. Returns false if too many keys collide. */
static inline bool key_collisions_add(struct key_collisions *k, uintptr_t object, const char *key,
                                      size_t size) {
  if (!KEY_COLLISIONS) return true;
  uint64_t mix = (uint64_t)object ^ key_collisions_hash(key, size) << 48; /* splitmix64 */
  mix = (mix ^ mix >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  mix = (mix ^ mix >> 27) * UINT64_C(0x94D049BB133111EB);
  mix ^= mix >> 31;
  for (int i = 0; i < KEY_COLLISIONS_SIGNS; i++)
    k->sums[i] += (mix >> i & 1) != 0 ? 1 : -1;
  if (++k->keys % 256 != 0) return true;
  double squares = 0, keys = (double)k->keys;
  for (int i = 0; i < KEY_COLLISIONS_SIGNS; i++)
    squares += (double)k->sums[i] * k->sums[i];
  /* Each key makes a pair with itself, and some share 16 bits by chance. */
  return squares / KEY_COLLISIONS_SIGNS < KEY_COLLISIONS_MAX + 4 * keys + keys * keys / 32768;
}

#endif
