-- Long lists that the command writes.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local SHORT, LONG = helper.ORG, helper.OTHER_ORG

-- Prints the exit code of a shell command and its peak memory in kilobytes.
local PEAK = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1], shell=True); "
  .. "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"

describe("an export of a long list", function()
  local server, folder

  setup(function()
    server = mock.start { tls = false }
    folder = command.open()
    server:configure { organizations = { [SHORT] = { users = 1000 }, [LONG] = { users = 40000 } } }
  end)
  teardown(function()
    server:stop()
    command.close()
  end)

  --- Returns the peak in kilobytes, and how many bytes were written.
  local function peak(org_id, format)
    local line = command.line(("users %s --format %s"):format(org_id, format), command.environment(server))
    local output = helper.shell(("python3 -c %s %s"):format(helper.quoted(PEAK),
      helper.quoted("exec " .. line .. " >" .. folder .. "/list")))
    local code, kilobytes = output:match("^(%d+) (%d+)\n$")
    assert.equal("0", code, output)
    return tonumber(kilobytes), #helper.read(folder .. "/list")
  end

  for _, format in ipairs { "ndjson", "json", "csv", "table" } do
    it("takes no more memory than that of a short one, in the format " .. format, function()
      local little = peak(SHORT, format)
      local much, bytes = peak(LONG, format)
      assert.is_true(bytes > 4e6, bytes)
      if helper.CHECKED then return end -- checked builds need more memory
      assert.is_true(much - little < 2048, ("%d kB more"):format(much - little))
      assert.is_true(much < 20 * 1024, ("%d kB"):format(much))
    end)
  end
end)
