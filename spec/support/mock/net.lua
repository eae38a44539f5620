--- What the mock server needs of the operating system and of zlib beyond what nginx offers to Lua.
-- For LuaJIT on Linux.

local ffi = require "ffi"

local net = {}

-- The names are the mock's own, so that they cannot clash with what other modules declare.
ffi.cdef [[
int podero_mock_getpeername(int fd, void *address, unsigned int *length) __asm__("getpeername");
int podero_mock_getsockname(int fd, void *address, unsigned int *length) __asm__("getsockname");
int podero_mock_connect(int fd, const void *address, unsigned int length) __asm__("connect");
int podero_mock_getsockopt(int fd, int level, int name, void *value, unsigned int *length) __asm__("getsockopt");
int podero_mock_getpid(void) __asm__("getpid");
int podero_mock_kill(int pid, int signal) __asm__("kill");

typedef struct {
  const unsigned char *next_in; unsigned int avail_in; unsigned long total_in;
  unsigned char *next_out; unsigned int avail_out; unsigned long total_out;
  const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
  int data_type; unsigned long adler; unsigned long reserved;
} podero_mock_z_stream;
const char *zlibVersion(void);
int deflateInit2_(podero_mock_z_stream *stream, int level, int method, int window_bits, int mem_level, int strategy,
  const char *version, int stream_size);
int deflate(podero_mock_z_stream *stream, int flush);
int deflateEnd(podero_mock_z_stream *stream);
unsigned long crc32(unsigned long crc, const char *bytes, unsigned int length);
unsigned long crc32_combine(unsigned long first, unsigned long second, long second_length);
]]

local C = ffi.C
local SIGTERM = 15
local IPPROTO_TCP, TCP_INFO, TCP_ESTABLISHED = 6, 11, 1
local Z_FULL_FLUSH, Z_FINISH = 3, 4
local HIGHEST_FD = 65536

local address = ffi.new("unsigned char[128]")
local length = ffi.new("unsigned int[1]")

--- Returns the port of one end of a socket, or nil. In IPv4 and IPv6 addresses it is in the bytes 2 and 3.
local function port_of(fd, get)
  length[0] = 128
  if get(fd, address, length) ~= 0 then return nil end
  return address[2] * 256 + address[3]
end

--- The descriptor of the connection between two ports. nginx does not tell it to Lua, so all of them are looked at.
local function find(remote_port, server_port)
  remote_port, server_port = tonumber(remote_port), tonumber(server_port)
  for fd = 0, HIGHEST_FD do
    if port_of(fd, C.podero_mock_getpeername) == remote_port
      and port_of(fd, C.podero_mock_getsockname) == server_port then
      return fd
    end
  end
end

--- Sends a RST to the client at once. Connecting a socket to the unspecified address drops its connection that way, and
-- leaves the descriptor for nginx to close.
function net.reset(remote_port, server_port)
  local fd = find(remote_port, server_port)
  if not fd then return false end
  local unspecified = ffi.new("unsigned char[16]")
  return C.podero_mock_connect(fd, unspecified, 16) == 0
end

--- Whether the client has closed neither direction of the connection.
function net.is_connected(remote_port, server_port)
  local fd = find(remote_port, server_port)
  if not fd then return false end
  local info = ffi.new("unsigned char[256]")
  length[0] = 256
  return C.podero_mock_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, length) == 0 and info[0] == TCP_ESTABLISHED
end

function net.pid()
  return C.podero_mock_getpid()
end

-- When a process was started, in the kernel's ticks; nil when there is none or only its zombie. The number tells two
-- processes with the same id apart.
local function process_start(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return nil end
  local text = file:read("*a") or ""
  file:close()
  local state, rest = text:match("%) (%a) (.*)$")
  if not state or state == "Z" or state == "X" then return nil end
  local index = 3
  for field in rest:gmatch("%S+") do
    index = index + 1
    if index == 22 then return field end
  end
end

--- Whether the process that was started then is running. `start`: "" if that is not known, on systems without /proc.
function net.is_running(pid, start)
  if start == "" then return C.podero_mock_kill(pid, 0) == 0 end
  return process_start(pid) == start
end

function net.terminate()
  C.podero_mock_kill(net.pid(), SIGTERM)
end

-- nginx is linked with zlib. If it is linked statically without these symbols, the shared library is loaded.
local function zlib()
  if pcall(function() return C.deflateInit2_ end) and pcall(function() return C.crc32_combine end) then return C end
  return ffi.load("libz.so.1")
end

local function deflate(z, text, flush)
  local stream = ffi.new("podero_mock_z_stream")
  assert(z.deflateInit2_(stream, 9, 8, -15, 9, 0, z.zlibVersion(), ffi.sizeof(stream)) == 0)
  local size = #text + 1024
  local out = ffi.new("unsigned char[?]", size)
  stream.next_in, stream.avail_in = ffi.cast("const unsigned char *", text), #text
  stream.next_out, stream.avail_out = out, size
  z.deflate(stream, flush)
  local result = ffi.string(out, size - stream.avail_out)
  z.deflateEnd(stream)
  return result
end

local function little_endian(number)
  return string.char(number % 256, math.floor(number / 256) % 256, math.floor(number / 65536) % 256,
    math.floor(number / 16777216) % 256)
end

local bombs = {}

--- A gzip text that unpacks to an empty JSON array of `bytes` bytes: brackets with blanks between them. One compressed
-- megabyte, which ends on a whole byte and refers to nothing before it, is repeated as often as need be.
function net.gzip_bomb(bytes)
  local bomb = bombs[bytes]
  if bomb then return bomb end
  local z = zlib()
  local blanks = math.max(0, bytes - 2)
  local megabyte = (" "):rep(1048576)
  local rest = (" "):rep(blanks % 1048576) .. "]"
  local block, block_crc = deflate(z, megabyte, Z_FULL_FLUSH), z.crc32(0, megabyte, #megabyte)
  local parts = { "\31\139\8\0\0\0\0\0\0\3", deflate(z, "[", Z_FULL_FLUSH) }
  local crc = z.crc32(0, "[", 1)
  for _ = 1, math.floor(blanks / 1048576) do
    parts[#parts + 1] = block
    crc = z.crc32_combine(crc, block_crc, #megabyte)
  end
  parts[#parts + 1] = deflate(z, rest, Z_FINISH)
  crc = z.crc32_combine(crc, z.crc32(0, rest, #rest), #rest)
  parts[#parts + 1] = little_endian(tonumber(crc)) .. little_endian((blanks + 2) % 4294967296)
  bomb = table.concat(parts)
  bombs[bytes] = bomb
  return bomb
end

return net
