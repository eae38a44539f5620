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

  --- Presses and releases a key.
  local function press(key, text)
    local code = ({ Enter = 13, Escape = 27, ArrowUp = 38, ArrowDown = 40 })[key]
    browser:call("Input.dispatchKeyEvent", { type = "keyDown", key = key, windowsVirtualKeyCode = code, text = text })
    browser:call("Input.dispatchKeyEvent", { type = "keyUp", key = key, windowsVirtualKeyCode = code })
  end

  local function results()
    return browser:evaluate "[...document.querySelectorAll('#results a')].map(a => a.innerText).join('; ')"
  end

  local function focused() return browser:evaluate "document.activeElement.innerText || document.activeElement.type" end

  for _, width in ipairs { 375, 1280 } do
    it("has a search that the keyboard controls, with a width of " .. width, function()
      browser:look(width, 800, "light")
      browser:open_page(ROOT .. "guide/errors.html")
      assert.equal("", results())
      press("/", "/")
      assert.equal("search", focused())
      browser:call("Input.insertText", { text = "Max_Ret" })
      assert.equal("max_retries Client options", results():match("^[^;]+"))
      assert.truthy(browser:evaluate("document.querySelector('[role=status]').innerText"):find("^%d+ results$"))
      assert.equal("", too_wide())
      assert.equal(width, browser:evaluate "Math.max(document.documentElement.scrollWidth, innerWidth)")
      browser:evaluate(AXE .. "; 0")
      assert.equal("", browser:evaluate "axe.run(document).then(found => found.violations.map(r => r.id).join())")
      press "ArrowDown"
      assert.equal("max_retries Client options", focused())
      press "ArrowUp"
      assert.equal("search", focused())
      press "Escape"
      assert.equal("", results() .. browser:evaluate "document.activeElement.value")
      browser:call("Input.insertText", { text = "no such word" })
      assert.equal("", results())
      assert.equal("No results", browser:evaluate "document.querySelector('[role=status]').innerText")
      press "Escape"
      browser:call("Input.insertText", { text = "one share" })
      assert.equal("Share one token nginx", results():match("^[^;]+"))
      press "ArrowDown"
      browser:follow(function() press("Enter", "\r") end)
      assert.equal("nginx.html#share-one-token", browser:evaluate "location.href.split('/').pop()")
    end)
  end
end)
