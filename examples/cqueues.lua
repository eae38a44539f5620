-- Lists organizations beside other work, with cqueues: while a call waits, other coroutines run. Only the option `wait`
-- is needed for that.
--
--   lua5.4 examples/cqueues.lua ORGANIZATION_ID...
local cqueues = require "cqueues"
local podero = require "podero"

if not arg[1] then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID...\n")
  os.exit(2)
end

local client = assert(podero.new { wait = podero.waits.cqueues })

local queue = cqueues.new()
local pending = #arg

for _, org_id in ipairs(arg) do
  queue:wrap(function()
    local users, err = client:list_users(org_id)
    print(org_id, users and ("%d users"):format(#users) or tostring(err))
    pending = pending - 1
  end)
end

-- The other work, here a clock.
local ticks = 0
queue:wrap(function()
  while pending > 0 do
    cqueues.sleep(0.01)
    ticks = ticks + 1
  end
end)

assert(queue:loop())
client:close()
print(("meanwhile, the clock has ticked %d times"):format(ticks))
