local command = require "spec.support.command"
local helper = require "spec.support.helper"
local picture = require "spec.support.picture"

-- The picture is made with Lua 5.4.
if _VERSION ~= "Lua 5.4" then return end

describe("the picture of the command", function()
  local svg = helper.read "pictures/podero.svg"

  it("shows what the command prints", function()
    command.open()
    local root = helper.shell("pwd"):gsub("%s+$", "")
    local rows = picture.record(function(environment)
      return (command.line("", environment):gsub("src/command/podero", root .. "/src/command/podero"))
    end)
    command.close()
    assert.same(picture.lines(rows), picture.lines(picture.rows(svg)), "run `make picture`")
  end)

  it("sets positions and blanks explicitly, and fits its size", function()
    assert.is_nil(svg:find("dominant-baseline", 1, true))
    local width, height = svg:match 'viewBox="0 0 (%d+) (%d+)"'
    local count = 0
    for attributes in svg:gmatch "<text ([^>]*)>" do
      count = count + 1
      assert.truthy(attributes:find('xml:space="preserve"', 1, true))
      local x, y, length = attributes:match 'x="([%d.]+)" y="(%d+)" textLength="([%d.]+)"'
      assert.is_true(x + length < tonumber(width) and tonumber(y) < tonumber(height))
    end
    assert.is_true(count > 20)
    for _, parts in ipairs(picture.rows(svg)) do
      for _, part in ipairs(parts) do
        assert.equal(part.width, #part.text:gsub("[\128-\191]", ""), part.text)
        assert.is_true(part.column + part.width <= picture.COLUMNS)
      end
    end
  end)
end)
