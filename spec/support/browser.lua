--- A browser without a window, Debian's chromium, driven with its DevTools protocol over two pipes: a message is JSON
-- that ends in a zero byte (chromium --remote-debugging-pipe).

local cjson = require "cjson"
local nginx = require "spec.support.nginx"

local Browser = {}
Browser.__index = Browser

-- Seconds that a browser may live.
local LIFETIME = 900

local COMMAND = "cd %s && exec timeout %d chromium --headless=new --no-sandbox --disable-gpu --disable-quic"
  .. " --no-first-run --no-default-browser-check --disable-background-networking --disable-component-update"
  .. " --disable-sync --disable-extensions --hide-scrollbars --force-device-scale-factor=1 --user-data-dir=profile"
  .. " --remote-debugging-pipe about:blank 3<commands 4>answers >chromium.log 2>&1 </dev/null &"

--- The next message; raises an error if the browser has ended.
local function receive(self)
  local bytes = {}
  while true do
    local byte = self.answers:read(1)
    if not byte then error("chromium has ended: " .. (nginx.read_file(self.dir .. "/chromium.log") or ""), 0) end
    if byte == "\0" then break end
    bytes[#bytes + 1] = byte
  end
  return cjson.decode(table.concat(bytes))
end

--- Calls a method of the protocol and returns its result; events that come meanwhile are kept in `self.events`.
function Browser:call(method, parameters)
  self.last_id = self.last_id + 1
  local message = { id = self.last_id, method = method, sessionId = self.session }
  if parameters and next(parameters) then message.params = parameters end
  self.commands:write(cjson.encode(message), "\0")
  self.commands:flush()
  while true do
    local answer = receive(self)
    if answer.id == self.last_id then
      if answer.error then error(method .. ": " .. cjson.encode(answer.error), 2) end
      return answer.result
    end
    if answer.method then self.events[#self.events + 1] = answer end
  end
end

--- Waits for an event, which may have come since the last call of `forget`.
function Browser:await(method)
  for _, event in ipairs(self.events) do
    if event.method == method then return event.params end
  end
  while true do
    local event = receive(self)
    if event.method then self.events[#self.events + 1] = event end
    if event.method == method then return event.params end
  end
end

function Browser:forget()
  self.events = {}
end

--- The value of a JavaScript expression, which may be a promise.
function Browser:evaluate(expression)
  local answer = self:call("Runtime.evaluate", {
    expression = expression, awaitPromise = true, returnByValue = true, userGesture = true,
  })
  if answer.exceptionDetails then error(cjson.encode(answer.exceptionDetails), 2) end
  return answer.result.value
end

--- Sets the size of the window and the colours ("light" or "dark").
function Browser:look(width, height, scheme)
  self:call("Emulation.setDeviceMetricsOverride",
    { width = width, height = height, deviceScaleFactor = 1, mobile = false })
  self:call("Emulation.setEmulatedMedia", { features = { { name = "prefers-color-scheme", value = scheme } } })
end

--- Performs an action that leads to another page, and waits until that is loaded.
function Browser:follow(action)
  self:forget()
  action()
  self:await "Page.loadEventFired"
end

function Browser:open_page(url)
  self:follow(function()
    local answer = self:call("Page.navigate", { url = url })
    if answer.errorText then error(url .. ": " .. answer.errorText, 3) end
  end)
end

--- Clicks on the first element that matches a CSS selector, and waits for the page to which it leads.
function Browser:click(selector)
  self:follow(function() self:evaluate(("document.querySelector(%s).click()"):format(cjson.encode(selector))) end)
end

--- Writes a picture of the window, or of the whole page, as PNG.
function Browser:screenshot(file, whole)
  local answer = self:call("Page.captureScreenshot", { format = "png", captureBeyondViewport = whole or false })
  nginx.write_file(file, (require "mime".unb64(answer.data)))
end

--- Ends the browser and removes what it has written.
function Browser:close()
  self.commands:close()
  while self.answers:read(65536) do end
  self.answers:close()
  nginx.run("rm -rf " .. nginx.quoted(self.dir))
end

--- Starts a browser with one empty page.
function Browser.start()
  local dir = nginx.temporary_folder("podero-browser")
  assert(nginx.run(("mkfifo %s/commands %s/answers"):format(nginx.quoted(dir), nginx.quoted(dir))))
  assert(nginx.run(COMMAND:format(nginx.quoted(dir), LIFETIME)))
  local self = setmetatable({ dir = dir, last_id = 0, events = {} }, Browser)
  -- In this order: each waits until the shell has opened the other end.
  self.commands = assert(io.open(dir .. "/commands", "w"))
  self.answers = assert(io.open(dir .. "/answers", "r"))
  local target = self:call("Target.createTarget", { url = "about:blank" })
  self.session = self:call("Target.attachToTarget", { targetId = target.targetId, flatten = true }).sessionId
  self:call "Page.enable"
  self:call "Log.enable"
  self:call "Runtime.enable"
  return self
end

return Browser
