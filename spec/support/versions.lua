--- Differences between versions of libcurl and others on which the expectations of specs depend. Each name says what
-- differs. The module behaves as documented with all of them.

local compile = require "spec.support.compile"
local helper = require "spec.support.helper"

local versions = {}

--- Whether one version, such as "8.14.1", is another or newer.
local function is_since(version, wanted)
  local numbers = version:gmatch "%d+"
  for number in wanted:gmatch "%d+" do
    local own = tonumber(numbers() or 0)
    if own ~= tonumber(number) then return own > tonumber(number) end
  end
  return true
end

-- The function of the library that the module has loaded.
local LIBCURL = [[
#include <curl/curl.h>
#include <lua.h>

int luaopen_libcurl_version(lua_State *L) {
  lua_pushstring(L, curl_version_info(CURLVERSION_NOW)->version);
  return 1;
}
]]

-- Each is computed when it is used for the first time.
local compute = {}

--- libcurl's version.
function compute.libcurl()
  return compile("libcurl_version", LIBCURL, "$(pkg-config --cflags --libs libcurl)")
end

--- A TLS connection that ends without a close_notify is an error for libcurl, even if HTTP allows the body to end
-- there, since 8.14.1. Before, it was the end of the body.
function compute.truncated_tls_is_an_error() return is_since(versions.libcurl, "8.14.1") end

--- libcurl sends a request again, on another connection, after a GOAWAY that says that it was not processed. Before
-- 8.14 the call fails, and can be retried.
function compute.repeats_after_goaway() return is_since(versions.libcurl, "8.14.0") end

--- It also does so if the GOAWAY has an error code; 8.23 does not.
function compute.repeats_after_failed_goaway()
  return versions.repeats_after_goaway and not is_since(versions.libcurl, "8.23.0")
end

--- libcurl returns between HTTP/2 frames that arrive as fast as they are read, if there is a stream to read for: the
-- call ends at its timeout. Before 8.7 it does not return, and the connection is ended.
function compute.returns_between_frames() return is_since(versions.libcurl, "8.7.0") end

--- The code of a private key that cannot be read: CURLE_BAD_FUNCTION_ARGUMENT instead of CURLE_SSL_CERTPROBLEM, or nil.
function compute.code_of_a_bad_key() return is_since(versions.libcurl, "8.16.0") and 43 or false end

--- How many descriptors a multi handle needs.
function compute.multi_descriptors() return is_since(versions.libcurl, "8.20.0") and 3 or 0 end

--- libcurl connects to the address for "127.0.0.1.". Before, it was a name, which can resolve to anything.
function compute.address_may_end_with_dot() return is_since(versions.libcurl, "8.21.0") end

--- The hexadecimal digits of escapes in a path are sent in upper case. Before, they were sent unchanged.
function compute.escapes_become_capital() return is_since(versions.libcurl, "8.20.0") end

--- How many header fields libcurl accepts in a transfer. Before 8.14, only their size is limited.
function compute.max_header_fields()
  return is_since(versions.libcurl, "8.14.0") and 5000 or math.huge
end

--- Lua collects garbage before it gives up if it cannot make its stack larger. Lua 5.4.7 does not, since a collection
-- could move the stack; 5.4.4 does. (Lua's own version is known from the interpreter only.)
function compute.lua_collects_for_its_stack()
  if _VERSION ~= "Lua 5.4" then return true end
  local version = helper.shell(helper.quoted(helper.interpreter()) .. " -v"):match "Lua ([%d.]+)"
  return not version or not is_since(version, "5.4.7")
end

--- fish also offers options that contain the typed text, after those that begin with it.
function compute.fish_offers_what_contains()
  return is_since(helper.shell("fish --version"):match "[%d.]+" or "0", "4.0")
end

--- If the access token was deleted, OAuth Toolkit responds to a refresh with status 500 (1.7), issues a token without a
-- scope, which the API refuses (3.0), or refuses the refresh (3.4). `version`: of a server, see spec.support.django.
function versions.toolkit_refreshes_without_scope(version)
  return is_since(version, "3.0") and not is_since(version, "3.4")
end

return setmetatable(versions, {
  __index = function(_, name)
    local value = assert(compute[name], name)()
    rawset(versions, name, value)
    return value
  end,
})
