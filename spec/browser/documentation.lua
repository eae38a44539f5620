--- The documentation site of `make docs` in Debian's Chromium: `make test-browser`. axe-core checks its accessibility.

local Browser = require "spec.support.browser"
local helper = require "spec.support.helper"

local AXE = helper.read "build/browser/node_modules/axe-core/axe.min.js"

local ROOT = "file://" .. helper.shell("pwd"):gsub("%s+$", "") .. "/build/docs/"

describe("the documentation in a browser", function()
  local browser

  setup(function() browser = Browser.start() end)
  teardown(function() browser:close() end)

  local pages = {}
  for _, section in ipairs(dofile "tools/site/pages.lua") do
    for _, page in ipairs(section) do pages[#pages + 1] = page[2] end
  end

  --- Elements that extend beyond the window and are not in a scrollable element.
  local function too_wide()
    return browser:evaluate [[(() => {
      const wide = [...document.querySelectorAll("body *")].filter(element =>
        element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
          && !element.closest("pre, .Bd-indent, .skip, thead"))
      return wide.slice(0, 3).map(element => element.outerHTML.slice(0, 200)).join("\n")
    })()]]
  end

  for _, page in ipairs(pages) do
    for _, scheme in ipairs { "light", "dark" } do
      it(("fits a phone and a screen, and passes axe-core's checks: %s, %s"):format(page, scheme), function()
        for _, width in ipairs { 375, 1280 } do
          browser:look(width, 800, scheme)
          browser:open_page(ROOT .. page)
          assert.equal(width, browser:evaluate "Math.max(document.documentElement.scrollWidth, innerWidth)", too_wide())
          assert.equal("", too_wide())
        end
        browser:evaluate(AXE .. "; 0")
        assert.equal("", browser:evaluate [[axe.run(document).then(found => found.violations.map(rule =>
          rule.id + ": " + rule.nodes.slice(0, 3).map(node => node.html).join(" ")).join("\n"))]])
      end)
    end
  end

  it("has a button on a phone that opens the menu, which links to pages", function()
    browser:look(375, 800, "light")
    browser:open_page(ROOT .. "index.html")
    browser:evaluate "document.querySelector('.to-menu').click()"
    assert.is_true(browser:evaluate "document.querySelector('#menu').getBoundingClientRect().top < 800")
    browser:click "#menu a[href='guide/nginx.html']"
    assert.equal("nginx", browser:evaluate "document.querySelector('h1').innerText")
  end)
end)
