/* What client:get makes of a body, cut anywhere, against the JSON reader and lua-cjson. */
#include "lua.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_with("spec/fuzz/value.lua", data, size);
}
