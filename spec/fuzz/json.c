/* The JSON reader, cut anywhere, against lua-cjson. */
#include "lua.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_with("spec/fuzz/json.lua", data, size);
}
