/* Detects keys that collide in Lua's tables, before there are too many in a body.
 *
 * Lua 5.1 to 5.3 hash only every second or third byte of a long key, or fewer, and 5.1 uses no
 * seed. So a server can send keys that all have the same hash. Lua then compares each key with all
 * keys before it, and again whenever the table grows. This cannot be interrupted, and takes seconds
 * for ten thousand keys.
 *
 * Therefore this computes the hash of Lua 5.1 for each key, and estimates how many pairs of keys in
 * the same object share a hash: each combination of object and hash has a pseudo-random sign, +1 or
 * -1. The signs of all keys are added up. The mean of the square of that sum is the number of such
 * pairs (N. Alon, Y. Matias, M. Szegedy, The Space Complexity of Approximating the Frequency
 * Moments, 1996). Averaging several sums makes the estimate more exact.
 *
 * On Lua 5.4 and later, and on LuaJIT, this does nothing. */
#ifndef PODERO_KEY_COLLISIONS_H
#define PODERO_KEY_COLLISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/compat.h"

#if LUA_VERSION_NUM < 504 && !defined LUA_LJDIR /* LuaJIT's luaconf.h defines LUA_LJDIR */
#define KEY_COLLISIONS 1
#else
#define KEY_COLLISIONS 0
#endif

#define KEY_COLLISIONS_TOO_MANY "an object has too many keys that collide in Lua's tables"

/* How many sums are averaged. */
#define KEY_COLLISIONS_SIGNS 16

/* How many pairs of keys may share a hash, each pair counted twice: as many as 8,000 keys with the
 * same hash make. */
#define KEY_COLLISIONS_MAX 64e6

/* Initialize with zeros. */
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

/* Counts a key of an object; `object` is any number that identifies the object. Returns false if
 * too many keys collide. */
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
  /* Each key makes a pair with itself, and some keys share 16 bits by chance. */
  return squares / KEY_COLLISIONS_SIGNS < KEY_COLLISIONS_MAX + 4 * keys + keys * keys / 32768;
}

#endif
