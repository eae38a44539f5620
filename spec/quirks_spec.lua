-- The list of workarounds for versions of libcurl in src/core/http/quirks.c.
local helper = require "spec.support.helper"
local preload = require "spec.support.preload"

-- Nothing here depends on the version of Lua.
if _VERSION ~= "Lua 5.4" then return end

describe("the list of workarounds for libcurl", function()
  --- The entries of the comment, each as one line.
  local function entries()
    local comment = helper.read("src/core/http/quirks.c"):match("/(%*.-)%*/")
    local list = {}
    for entry in (comment .. "\n *\n"):gmatch("(.-)\n %*\n") do
      list[#list + 1] = (entry:gsub("\n %*", " "):gsub("%s+", " "))
    end
    table.remove(list, 1) -- the introduction
    return list
  end

  it("names an existing spec for each, or says why there is none", function()
    local list = entries()
    assert.is_true(#list > 15)
    for _, entry in ipairs(list) do
      local texts = entry:match("Spec: (.*)$")
      assert.truthy(texts, entry)
      if not texts:find("^none") then
        local cases = helper.read "spec/support/faults.lua"
        for name in texts:gmatch("[%w_]+_spec") do cases = cases .. helper.read("spec/" .. name .. ".lua") end
        assert.truthy(texts:find("_spec \"", 1, true), entry)
        for text in texts:gmatch("\"([^\"]+)\"") do assert.truthy(cases:find(text, 1, true), entry) end
      end
    end
  end)

  it("names functions and constants that exist", function()
    for _, entry in ipairs(entries()) do
      for name, file in entry:gmatch("([%w_]+) in ([%w_]+%.[ch])") do
        assert.truthy(helper.read("src/core/http/" .. file):find(name, 1, true), entry)
      end
    end
  end)

  it("is the only place in src that depends on libcurl's version", function()
    local found = helper.shell("grep -rlE 'LIBCURL_VERSION|CURL_AT_LEAST|version_num|curl_version' src | sort")
    assert.equal("src/core/http/libcurl.c\nsrc/core/http/quirks.h\n", found)
  end)
end)

describe("libcurl", function()
  --- Makes curl_version_info report $VERSION.
  local LIBRARY = [[
#define _GNU_SOURCE
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

curl_version_info_data *curl_version_info(CURLversion age) {
  static curl_version_info_data info;
  void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_NOLOAD);
  info = *((curl_version_info_data * (*)(CURLversion)) dlsym(library, "curl_version_info"))(age);
  unsigned major = 0, minor = 0, patch = 0;
  info.version = getenv("VERSION");
  sscanf(info.version, "%u.%u.%u", &major, &minor, &patch);
  info.version_num = major << 16 | minor << 8 | patch;
  return &info;
}
]]

  local library, remove_library

  setup(function() library, remove_library = preload(LIBRARY) end)
  teardown(function() remove_library() end)

  --- The results of podero.new with a libcurl of this version.
  local function new_with(version)
    return (helper.run("print(require('podero').new { access_token = 'x' })",
      { LD_PRELOAD = library, VERSION = version }))
  end

  it("is refused by podero.new if it is older than 7.76.1", function()
    if os.getenv "VARIANT" == "-sanitized" then return pending "no library can be preloaded" end
    for _, version in ipairs { "7.68.0", "7.74.0", "7.76.0" } do
      assert.equal(("nil\tpodero: argument: libcurl %s is too old: 7.76.1 or newer is needed\n"):format(version),
        new_with(version))
    end
    for _, version in ipairs { "7.76.1", "7.88.1", "8.14.1", "9.0.0" } do
      assert.truthy(new_with(version):find("^podero.client"), version)
    end
  end)

  it("has the same minimum version in the documents and in the source", function()
    local oldest = helper.read("src/core/http/quirks.h"):match("QUIRKS_OLDEST_NAME \"([%d.]+)\"")
    for _, document in ipairs { "README.md", "SECURITY.md", "docs/install.md", "docs/guide/questions.md" } do
      local text = helper.read(document)
      assert.truthy(text:find(oldest, 1, true), document)
      assert.is_nil(text:find("7%.[0-6]%d[%s,.]"), document)
    end
  end)
end)
