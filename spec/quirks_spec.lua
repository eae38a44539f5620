-- The list of workarounds for versions of libcurl in src/core/http/quirks.c.
local helper = require "spec.support.helper"

-- Nothing here depends on the Lua.
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

  it("names a spec for each that exists, or says why there is none", function()
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

  it("is the only place that depends on the version", function()
    local found = helper.shell("grep -rlE 'LIBCURL_VERSION|CURL_AT_LEAST|version_num|curl_version' src | sort")
    assert.equal("src/core/http/libcurl.c\nsrc/core/http/quirks.h\n", found)
  end)
end)
