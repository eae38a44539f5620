--- Searches the memory of a process for secrets. The process runs a program that uses podero with secrets from its
-- environment.

local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"

local wiped = {}

-- Overwrites blocks that libcurl frees, so that all secrets found are podero's. The program does not read the
-- environment from Lua, which would keep copies.
local PROGRAM = [[
assert(require("spec.support.compile")("wiping", %q, "$(pkg-config --cflags --libs libcurl)"))
local podero = require "podero"
local client = assert(podero.new { proxy = "", max_retries = 0, client_auth = os.getenv("CLIENT_AUTH"),
  token_encoding = os.getenv("TOKEN_ENCODING") })
%s
print("open", io.open("/proc/self/stat"):read("*n"))
io.stdout:flush()
io.read("*l")
client:close()
client = nil
collectgarbage()
collectgarbage()
print "closed"
io.stdout:flush()
io.read("*l")
]]

local WIPING = [[
#include <curl/curl.h>
#include <lua.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wiping_free(void *block) {
  if (block == NULL) return;
  memset(block, 0, malloc_usable_size(block));
  __asm__ volatile("" : : "r"(block) : "memory");
  free(block);
}

static void *wiping_realloc(void *block, size_t size) {
  size_t before = block == NULL ? 0 : malloc_usable_size(block);
  void *other = malloc(size);
  if (other == NULL) return NULL;
  if (before > 0) memcpy(other, block, before < size ? before : size);
  wiping_free(block);
  return other;
}

int luaopen_wiping(lua_State *L);
int luaopen_wiping(lua_State *L) {
  CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
  lua_pushboolean(L, code == CURLE_OK);
  return 1;
}
]]

-- Larger regions belong to a sanitizer.
local LARGEST_REGION = 256 * 1024 * 1024

--- Returns the writable memory of a process, without its environment, as a list of { name, bytes }.
local function regions(pid)
  local list = {}
  local fields = {}
  for field in nginx.read_file(("/proc/%d/stat"):format(pid)):match("%) (.*)$"):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  local environment = { from = tonumber(fields[48]), to = tonumber(fields[49]) } -- proc(5): env_start and env_end
  local memory = assert(io.open(("/proc/%d/mem"):format(pid), "rb"))
  local function read(name, from, to)
    if to <= from or to - from > LARGEST_REGION or not memory:seek("set", from) then return end
    local bytes = memory:read(to - from)
    if bytes then list[#list + 1] = { name = name, bytes = bytes } end
  end
  for line in io.lines(("/proc/%d/maps"):format(pid)) do
    local from, to, name = line:match("^(%x+)%-(%x+) rw%S* %S+ %S+ %S+%s*(.*)$")
    if from then
      from, to = tonumber(from, 16), tonumber(to, 16)
      if environment.from >= from and environment.from < to then
        read(name, from, environment.from)
        from = environment.to
      end
      read(name, from, to)
    end
  end
  memory:close()
  return list
end

--- Returns a list of where the texts occur in a process: "client_secret in [heap]", and so on.
local function find(pid, texts)
  local found = {}
  for _, region in ipairs(regions(pid)) do
    for what, text in pairs(texts) do
      local at = region.bytes:find(text, 1, true)
      while at do
        found[#found + 1] = ("%s in %s"):format(what, region.name)
        at = region.bytes:find(text, at + 1, true)
      end
    end
  end
  return found
end

--- Runs a program that executes `use` with a client, with these environment variables, and searches its memory for the
-- texts while the client is open and after it was closed. Returns both lists, and what the program printed.
function wiped.look(environment, texts, use)
  local program = PROGRAM:format(WIPING, use)
  local folder = nginx.temporary_folder("podero-wiped")
  assert(nginx.run("mkfifo " .. folder .. "/input"))
  local pipe = io.popen(helper.command(program, environment) .. " 2>&1 <" .. folder .. "/input")
  local input = assert(io.open(folder .. "/input", "w"))
  input:setvbuf("no")
  local printed, pid = {}, nil
  local function read_to(word)
    for line in pipe:lines() do
      printed[#printed + 1] = line
      pid = pid or line:match("^open%s+(%d+)")
      if line:sub(1, #word) == word then return end
    end
    error("the program ended: " .. table.concat(printed, "\n"))
  end
  read_to("open")
  local open = find(pid, texts)
  input:write("\n")
  read_to("closed")
  local closed = find(pid, texts)
  input:write("\n")
  input:close()
  pipe:close()
  nginx.run("rm -r " .. folder)
  return open, closed, printed
end

return wiped
