local helper = require "spec.support.helper"
local podero = require "podero"

-- Nothing here depends on the version of Lua.
if _VERSION ~= "Lua 5.4" then return end

local function sorted(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

describe("the man page", function()
  local man = helper.read("docs/podero.1")

  it("passes mandoc's checks", function()
    assert.same({ "", 0 }, { helper.shell("mandoc -Tlint -Wstyle docs/podero.1") })
  end)

  it("lists the options of the command", function()
    local found, declared = {}, {}
    for name in man:gmatch("\n%.It Fl %-([%l-]+)") do found[name] = true end
    for name in man:gmatch("\n%.It Fl %a , Fl %-([%l-]+)") do found[name] = true end
    -- Options that any command declares; see src/command/option.lua.
    local sources = helper.shell("cat src/command/*.lua src/command/commands/*.lua")
    for name in sources:gmatch("[^%w]option%(\"[^\"]-%-%-([%l-]+)") do declared[name] = true end
    assert.same(sorted(declared), sorted(found))
  end)

  it("has the version of the module, as has the reference", function()
    assert.equal(podero._VERSION, man:match("\n%.Os (podero %S+)\n"))
    assert.truthy(helper.read("docs/reference/module.md"):find("| `\"" .. podero._VERSION .. "\"` |", 1, true))
  end)
end)

describe("make docs", function()
  local folder
  local environment = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL INSTALL_PACKAGES=no "

  setup(function()
    folder = helper.shell("mktemp -d \"${TMPDIR:-/tmp}/podero-docs.XXXXXX\""):gsub("%s+$", "")
    local output, code = helper.shell(environment .. "make docs")
    assert(code == 0, output)
  end)
  teardown(function() helper.shell("rm -rf " .. folder) end)

  local pages = dofile "tools/site/pages.lua"

  --- Name and text of each page.
  local function each_page()
    return coroutine.wrap(function()
      for _, section in ipairs(pages) do
        for _, page in ipairs(section) do coroutine.yield(page[2], helper.read("build/docs/" .. page[2])) end
      end
    end)
  end

  it("makes every listed page, with a menu of all pages and the version", function()
    local version = podero._VERSION:match("%S+$")
    local count = 0
    for name, text in each_page() do
      count = count + 1
      assert.truthy(text:find("<span class=\"version\">" .. version .. "</span>", 1, true), name)
      local root = ("../"):rep(select(2, name:gsub("/", "")))
      for other in each_page() do
        assert.truthy(text:find(("<li><a href=\"%s%s\""):format(root, other), 1, true), name .. ": " .. other)
      end
    end
    assert.is_true(count >= 20)
    assert.truthy(helper.read("build/docs/podero.1.html"):find("--include-deleted", 1, true))
  end)

  it("makes a page of every Markdown file in docs", function()
    local listed = {}
    for _, section in ipairs(pages) do
      for _, page in ipairs(section) do listed[page[1]] = true end
    end
    for name in helper.shell("find docs -name '*.md'"):gmatch("%S+") do assert.truthy(listed[name], name) end
  end)

  it("makes pages whose links lead to existing pages, files and anchors", function()
    local anchors = {}
    for name, text in each_page() do
      anchors[name] = {}
      for id in text:gmatch(" id=\"([^\"]+)\"") do anchors[name][id] = true end
    end
    local links = 0
    for name, text in each_page() do
      for link in text:gmatch("[%s](%l+=\"[^\"]*\")") do
        local kind, target = link:match("^(%l+)=\"([^\"]*)\"$")
        local repository = target:match("^https://github%.com/podero/podero%-lua/blob/main/([^#]+)")
        if kind ~= "href" and kind ~= "src" then
          kind = nil -- another attribute
        elseif repository then
          assert.equal(0, select(2, helper.shell("test -e " .. helper.quoted(repository))), name .. ": " .. target)
        elseif not target:find("^%a[%w+.-]*:") then
          local path, anchor = target:match("^([^#]*)#?(.*)$")
          local file = path == "" and name or (name:match("^.*/") or "") .. path
          local count
          repeat file, count = file:gsub("[^/]+/%.%./", "", 1) until count == 0
          assert.equal(0, select(2, helper.shell("test -e build/docs/" .. helper.quoted(file))), name .. ": " .. target)
          assert.truthy(anchor == "" or anchors[file][anchor], name .. ": " .. target)
        end
        if kind then links = links + 1 end
      end
    end
    assert.is_true(links > 400)
  end)

  it("makes an index for the search, whose links lead to existing pages and anchors", function()
    local found, count = {}, 0
    for text, page, link in helper.read("build/docs/search.js"):gmatch("\n%[\"(.-)\",\"(.-)\",\"(.-)\"%]") do
      local path, anchor = link:match("^([^#]+)#?(.*)$")
      local html = helper.read("build/docs/" .. path)
      assert.truthy(anchor == "" or html:find((" id=\"%s\""):format(anchor), 1, true), link)
      found[text .. " in " .. page], count = link, count + 1
    end
    assert.is_true(count > 400, tostring(count))
    assert.equal("guide/nginx.html", found["nginx in nginx"])
    assert.equal("guide/nginx.html#share-one-token", found["Share one token in nginx"])
    assert.equal("reference/options.html#all-options", found["max_retries in Client options"])
    assert.equal("podero.1.html#include-deleted", found["--include-deleted in The podero command"])
  end)

  it("highlights code in its own language", function()
    local nginx = helper.read("build/docs/guide/nginx.html")
    assert.truthy(nginx:find('<span class="kw">lua_shared_dict</span>', 1, true))
    assert.truthy(nginx:find('<span class="co"># Debian', 1, true))
    assert.truthy(nginx:find('<span class="kw">local</span>', 1, true))
    assert.truthy(helper.read("build/docs/install.html"):find('sourceCode bash', 1, true)
      or helper.read("build/docs/install.html"):find('sourceCode sh', 1, true))
    assert.truthy(helper.read("build/docs/recipes.html"):find('<pre class="sourceCode lua">', 1, true))
  end)

  it("fails and names page and link if a link or an anchor is dead", function()
    helper.shell(("cp -R Makefile README.md CHANGELOG.md SECURITY.md CONTRIBUTING.md LICENSE docs examples tools src "
      .. "pictures bench .ci %s"):format(folder))
    -- Only two pages, since making all of them takes a while.
    local list = assert(io.open(folder .. "/tools/site/pages.lua", "w"))
    list:write([[
      return { { heading = "x", { "README.md", "index.html", "a" }, { "docs/install.md", "install.html", "b" } } }
    ]])
    list:close()
    local cases = {
      { "[x](docs/install.md#nowhere)", "README.md: no such anchor: install.html#nowhere" },
      { "[x](#nowhere)", "README.md: no such anchor: #nowhere" },
      { "[x](docs/nothing.md)", "README.md: no such file: docs/nothing.md" },
    }
    local readme = helper.read("README.md")
    for _, case in ipairs(cases) do
      local file = assert(io.open(folder .. "/README.md", "w"))
      file:write(readme, "\n", case[1], "\n")
      file:close()
      local output, code = helper.shell(("cd %s && lua5.4 tools/site.lua build/docs"):format(folder))
      assert.equal(1, code)
      assert.truthy(output:find(case[2], 1, true), output)
    end
  end)
end)
