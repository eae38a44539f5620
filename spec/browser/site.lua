--- The site of examples/nginx in Debian's Chromium: `make test-browser`. axe-core checks its accessibility.

local Browser = require "spec.support.browser"
local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local site = require "spec.support.site"

local ORG, EMPTY = mock.ORG, "00000000-0000-4000-8000-000000000000"
local LARGE, LONG = "00000000-0000-4000-8000-000000100000", "00000000-0000-4000-8000-00000000001f"
local UNKNOWN, FORBIDDEN = "00000000-0000-4000-8000-000000000404", "00000000-0000-4000-8000-000000000403"
local BUSY = "00000000-0000-4000-8000-000000000429"

local AXE = helper.read "build/browser/node_modules/axe-core/axe.min.js"

local WIDTHS = { 320, 375, 768, 1024, 1280 }
local SCHEMES = { "light", "dark" }

--- Users whose texts cannot be broken into lines, as JSON.
local function long_users()
  local word = ("Wolfeschlegelsteinhausenbergerdorff"):rep(3)
  local list = {}
  for i, role in ipairs { "guest", "admin", "superintendent-of-" .. word } do
    list[i] = cjson.encode {
      id = "00000000-0000-4000-8000-000000000001", organization_id = LONG, role = role,
      email = word .. i .. "@example.com", first_name = i > 1 and word or nil, last_name = i > 1 and word or nil,
      external_user_id = word, zip_code = "1234567890", town = word, last_login = "2025-11-16T12:28:00Z",
      num_inverters = 1000000, num_heat_pumps = 1000000, num_electric_vehicles = 1000000, num_wallboxes = 1000000,
    }
  end
  return "[" .. table.concat(list, ",") .. "]"
end

describe("the site in a browser", function()
  local api, server, browser

  setup(function()
    api = mock.start { tls = false }
    server = site.start {
      PODERO_BASE_URL = api.url,
      PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
    }
    browser = Browser.start()
  end)
  teardown(function()
    if browser then browser:close() end
    server:stop()
    api:stop()
  end)

  local BUSY_ANSWER = { status = 429, headers = { ["Retry-After"] = "120" }, body = "{}" }

  before_each(function()
    api:configure {
      organizations = {
        [ORG] = { users = 120, seed = 11 }, [LARGE] = { users = 100000, seed = 7 }, [LONG] = { raw = long_users() },
        [EMPTY] = { raw = "[]" }, [UNKNOWN] = { status = 404 }, [FORBIDDEN] = { status = 403 },
      },
      paths = { ["/api/partners/v2.0/org/" .. BUSY .. "/users"] = BUSY_ANSWER },
    }
  end)

  local function roster(org_id, query)
    return server.url .. "/orgs/" .. (org_id or ORG) .. "/roster" .. (query or "")
  end

  --- Fills in the search form of a roster, and submits it.
  local function search(q)
    browser:evaluate(("document.querySelector('[name=q]').value = %s"):format(cjson.encode(q)))
    browser:click ".search button"
  end

  local function text(selector)
    return browser:evaluate(("document.querySelector(%s).innerText"):format(cjson.encode(selector)))
  end

  --- The faults that axe finds on the current page, one a line.
  local function violations()
    browser:evaluate(AXE .. "; 0")
    return browser:evaluate [[axe.run(document).then(found => found.violations.map(rule =>
      rule.id + ': ' + rule.help + ' ' + rule.nodes.map(node => node.target.join(' ')).join(', ')).join('\n'))]]
  end

  --- The elements that extend beyond the window; empty if there is no horizontal scrolling.
  local function sticking_out()
    return browser:evaluate [[(() => {
      const width = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= width) return '';
      return [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > width + 0.5)
        .map(e => e.outerHTML.slice(0, 100)).join('\n') || 'something';
    })()]]
  end

  -- The pages to check: by name, how to open them.
  local PAGES = {
    ["the first page"] = function() browser:open_page(server.url .. "/") end,
    ["the first page, given no id"] = function() browser:open_page(server.url .. "/?org_id=x") end,
    ["a roster"] = function() browser:open_page(roster()) end,
    ["a roster of one role, sorted"] = function() browser:open_page(roster(nil, "?role=admin&sort=-last_login")) end,
    ["a page of 100,000 users, sorted"] = function() browser:open_page(roster(LARGE, "?sort=name&page=100")) end,
    ["long words"] = function() browser:open_page(roster(LONG)) end,
    ["an empty roster"] = function() browser:open_page(roster(EMPTY)) end,
    ["a search"] = function()
      browser:open_page(roster(nil, "?sort=name"))
      search "example"
    end,
    ["a search without hits"] = function()
      browser:open_page(roster())
      search(("nobody"):rep(33))
    end,
    ["a missing page"] = function() browser:open_page(server.url .. "/nothing") end,
    ["an unknown organization"] = function() browser:open_page(roster(UNKNOWN)) end,
    ["a forbidden organization"] = function() browser:open_page(roster(FORBIDDEN)) end,
    ["a busy Podero"] = function() browser:open_page(roster(BUSY)) end,
  }

  for name, open in pairs(PAGES) do
    it("passes axe's checks, and needs no horizontal scrolling: " .. name, function()
      browser:look(WIDTHS[1], 900, SCHEMES[1])
      open()
      for _, width in ipairs(WIDTHS) do
        for _, scheme in ipairs(SCHEMES) do
          browser:look(width, 900, scheme)
          local where = ("%d, %s: "):format(width, scheme)
          assert.equal(where, where .. sticking_out())
          assert.equal(where, where .. violations())
        end
      end
    end)
  end

  it("is checked by an axe that finds faults", function()
    browser:open_page(roster())
    browser:evaluate [[document.body.insertAdjacentHTML('beforeend', '<img src="x"><select></select>'),
      document.querySelector('main').insertAdjacentHTML('beforeend', '<pre>' + 'x'.repeat(999) + '</pre>')]]
    assert.truthy(violations():find("image-alt: ", 1, true))
    assert.truthy(violations():find("select-name: ", 1, true))
    assert.not_equal("", sticking_out())
  end)

  it("shows cards below 900 px, and otherwise columns that are wide enough", function()
    for _, org_id in ipairs { ORG, LONG } do
      browser:open_page(roster(org_id))
      for _, width in ipairs { 320, 375, 640, 768, 899 } do
        browser:look(width, 900, "light")
        assert.equal("none", browser:evaluate "getComputedStyle(document.querySelector('thead')).display")
        assert.equal('"External id"', browser:evaluate
          "getComputedStyle(document.querySelector('[data-label=\"External id\"]'), '::before').content")
        -- Every text has at least this width.
        assert.is_true(browser:evaluate [[Math.min(...[...document.querySelectorAll('tbody bdi')].map(
          e => e.closest('td, th').clientWidth))]] >= 200)
      end
      for _, width in ipairs { 900, 1024, 1280 } do
        browser:look(width, 900, "light")
        assert.equal("table-header-group", browser:evaluate "getComputedStyle(document.querySelector('thead')).display")
        local widths = browser:evaluate "[...document.querySelectorAll('thead th')].map(e => e.clientWidth)"
        for i, least in ipairs { 220, 80, 115, 115, 115, 160 } do
          assert.is_true(widths[i] >= least, ("%d px: column %d has %d"):format(width, i, widths[i]))
        end
        -- Times, and numbers with their units, stay on one line.
        assert.equal(1, browser:evaluate(
          "Math.max(...[...document.querySelectorAll('time')].map(e => e.getClientRects().length))"))
      end
    end
  end)

  it("links from the first page to a roster, to its pages and roles, and back", function()
    browser:look(1280, 900, "light")
    browser:open_page(server.url .. "/")
    browser:evaluate(("document.querySelector('#org_id').value = ' %s'"):format(ORG:upper()))
    browser:click ".finder button"
    assert.equal(roster(), browser:evaluate "location.href")
    assert.equal("120 users, 1 to 100 shown", (text(".found p"):gsub("\194\160", " ")))
    browser:evaluate "document.querySelector('.jump input').value = 2"
    browser:click ".jump button"
    assert.equal("120 users, 101 to 120 shown", (text(".found p"):gsub("\194\160", " ")))
    browser:click "thead .name a"
    assert.equal("ascending", browser:evaluate "document.querySelector('.name').ariaSort")
    browser:click ".tiles li:nth-child(2) a"
    assert.equal("✓ admins", text ".tile[aria-current] span")
    search "anna"
    assert.equal(roster(), browser:evaluate "location.href")
    assert.truthy(text(".found p"):find("“anna”", 1, true))
    browser:click ".tiles li:nth-child(1) button"
    assert.truthy(text(".found p"):find("match%a* “anna”"))
    browser:click ".found .plain"
    assert.equal("120 users, 1 to 100 shown", (text(".found p"):gsub("\194\160", " ")))
    browser:click ".site a"
    assert.equal("Users of an organization", text "h1")
  end)

  it("says that a download has failed, and links back", function()
    browser:open_page(roster(nil, "?role=admin"))
    api:configure { always_api = { status = 403 } }
    browser:click '[href^="users.csv"]'
    assert.equal("This site may not read this organization", text "h1")
    api:configure()
    browser:click '[href^="roster"]'
    assert.equal(roster(nil, "?role=admin"), browser:evaluate "location.href")
  end)

  it("complies with its Content-Security-Policy", function()
    browser:forget()
    for _, open in pairs(PAGES) do
      open()
      for _, event in ipairs(browser.events) do
        local entry = event.method == "Log.entryAdded" and event.params.entry
        -- Chromium logs each response with an error status.
        assert.is_true(not entry or entry.source == "network", entry and cjson.encode(entry))
      end
    end
  end)
end)
