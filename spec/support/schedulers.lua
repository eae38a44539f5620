--- How programs of specs use schedulers: Lua source by the scheduler's module, which defines `spawn(f)` to start a
-- coroutine, `run()` to run all, and `sleep(seconds)` to wait in one.
return {
  cqueues = [[
    local cqueues = require "cqueues"
    local queue = cqueues.new()
    local function spawn(f) queue:wrap(f) end
    local function run() for err in queue:errors() do error(err, 0) end end
    local sleep = cqueues.sleep
  ]],
  luv = [[
    local uv = require "luv"
    local function spawn(f) coroutine.wrap(f)() end
    local function run() uv.run() end
    local function sleep(seconds)
      local thread, timer = coroutine.running(), uv.new_timer()
      timer:start(seconds * 1000, 0, function()
        timer:close()
        assert(coroutine.resume(thread))
      end)
      coroutine.yield()
    end
  ]],
  copas = [[
    local copas = require "copas"
    local function spawn(f) copas.addthread(f) end
    local function run() copas.loop() end
    local sleep = copas.pause or copas.sleep
  ]],
}
