--- Makes the client of the module that a command uses, and calls its functions.

local credentials = require "podero.command.credentials"
local failure = require "podero.command.failure"
local options = require "podero.command.options"
local podero = require "podero"
local progress = require "podero.command.progress"
local system = require "podero.command.system"
local text = require "podero.command.text"
local token_cache = require "podero.command.token_cache"
local wording = require "podero.command.wording"

local client = {}

--- Prints the line of --verbose for an HTTP transfer.
local function print_event(event)
  if event.type ~= "exchange" then return end
  io.stderr:write(text.printable(("%s: %s %s: %s, attempt %d, %s in %.3f s"):format(event.purpose, event.method,
    event.url, event.status or event.error_kind or "-", event.attempt, text.bytes(event.bytes), event.seconds)), "\n")
end

--- Calls a function of the module. If it refuses an argument, that is wrong use of the command.
function client.call(given, f, ...)
  local function check(ok, ...)
    if ok then return ... end
    local raised = ...
    -- Leave out the position in this file, and the function's name.
    local reason = type(raised) == "string" and raised:match("bad argument #%d+ to '[%w_]+' %((.*)%)$")
    if reason then failure.usage(wording.of("argument", reason, given), given.label) end
    error(raised, 0)
  end
  return check(pcall(f, ...))
end

--- Returns a client. `shown`: the progress line (see progress.lua); `on_event`: a function that is called with the
-- client's events. Both may be nil. Raises a failure if the options cannot be used.
function client.new(given, shown, on_event)
  local settings = options.of_client(given)
  if given.token_cache then settings.token_store = token_cache.open(given.token_cache) end
  for name, value in pairs(credentials.find(given)) do settings[name] = value end
  settings.tls.key_password = credentials.key_password(given)
  settings.wait = shown and shown:wait()
  settings.on_event = (shown or given.verbose or on_event) and function(event)
    if given.verbose then
      if shown then shown:clear() end
      print_event(event)
    end
    if shown then shown:event(event) end
    if on_event then on_event(event) end
  end or nil
  local made, err = client.call(given, podero.new, settings)
  if not made and err.kind == "argument" then
    local message, has_variable = wording.of("argument", err.message, given)
    if has_variable then failure.setup(message) end -- help on arguments would not help
    failure.usage(message, given.label)
  end
  if not made then error(err, 0) end
  system.catch_signals() -- not before: the prompt for a secret handles signals itself
  return made
end

--- Calls f(api, shown) with a client and a progress line, and closes both. `has_file`: the output goes to a file; see
-- progress.lua. Returns the first result of f, or raises what f raises.
function client.use(given, has_file, f)
  local shown = progress.new(options.host(given), not given.quiet, has_file)
  local api = client.new(given, shown)
  local ok, result = pcall(f, api, shown)
  shown:stop()
  api:close()
  if ok then return result end
  error(result, 0)
end

local NOBODY = "/api/partners/v2.0/org/00000000-0000-0000-0000-000000000000/users"

--- Checks that the API accepts an access token of the user's own: requests the list of an organization that does not
-- exist. Raises the error if the token is refused, or if nothing can be said.
function client.try_token(api, given)
  local _, err = api:get(NOBODY, nil, { max_response_bytes = 64 * 1024 })
  if not podero.is_error(err) or err.kind == "too_large" then return end -- not an error: the response
  if err.status ~= 403 and err.status ~= 404 then error(err, 0) end
  local content_type = err.headers and err.headers["content-type"] or "no Content-Type"
  if content_type:find("json", 1, true) then return end
  local _, source = options.base_url(given)
  failure.error(("HTTP %d from %s does not come from the Partner API (%s): check the base URL (%s)"):format(err.status,
    err.url, content_type, source), "http")
end

return client
