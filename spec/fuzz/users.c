/* The whole way from the bytes of a response to users, cut anywhere, against the JSON reader and
 * against itself. */
#include "lua.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_with("spec/fuzz/users.lua", data, size);
}
