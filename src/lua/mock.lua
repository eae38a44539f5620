-- The module podero.mock: a client that sends nothing. It has the methods of a client, and answers from the users and
-- responses that a test gives it, with the library's own checks, filters, decoders and error objects.
--
-- Arguments of this chunk, from mock.c:
--   c           C functions
--   arguments   C functions that check the arguments of the methods: what the call asks for, or nil and an error object
--   Client      the metatable of clients
--   base_url    what the URLs in errors begin with
local c, arguments, Client, base_url = ...

local mock = {}

Client.__index = Client
Client.__name = "podero.mock.Client"

-- users ---------------------------------------------------------------------------------------------------------------

-- The values of the fields that each user must have; id and organization_id get new UUIDs.
local REQUIRED = {
  role = "user", email = "user@example.com", num_inverters = 0, num_heat_pumps = 0, num_electric_vehicles = 0,
  num_wallboxes = 0,
}

local next_id = 0

local function new_uuid()
  next_id = next_id + 1
  return ("00000000-0000-4000-8000-%012x"):format(next_id)
end

-- Returns a user with these fields. The fields that a user must have, and that are missing, get values.
function mock.user(fields)
  if fields ~= nil and type(fields) ~= "table" then
    error(("bad argument #1 to 'user' (table expected, got %s)"):format(type(fields)), 2)
  end
  local user = { id = new_uuid(), organization_id = new_uuid() }
  for name, value in pairs(REQUIRED) do user[name] = value end
  for name, value in pairs(fields or {}) do user[name] = value end
  return user
end

-- Returns the length of an array; or nil and what is wrong with it.
local function length_of(users)
  local length = 0
  for key in pairs(users) do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
      return nil, ("expected an array of users, got a table with the key '%s'"):format(tostring(key))
    end
    length = math.max(length, key)
  end
  for i = 1, length do
    if users[i] == nil then return nil, ("user %d is nil, and there are users after it"):format(i) end
  end
  return length
end

-- Returns the JSON of an array of users; or nil and what is wrong with it.
local function encode_array(users)
  local parts = {}
  local length, problem = length_of(users)
  if not length then return nil, problem end
  for i = 1, length do
    parts[i], problem = c.encode(users[i])
    if not parts[i] then return nil, ("user %d: %s"):format(i, problem) end
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- Returns the JSON of users, an array or JSON already; or nil and what is not as the API's schema says.
local function encode_users(users)
  local text, problem = users, nil
  if type(users) == "table" then text, problem = encode_array(users) end
  if problem then return nil, problem end
  if type(text) ~= "string" then return nil, "expected an array of users, got " .. type(users) end
  local _, err = c.users({}, text)
  if err and err.kind == "memory" then error("not enough memory", 0) end
  if err then return nil, err.message end
  return text
end

-- Returns two JSON arrays as one. It is only for this module and the command `podero mock`.
function mock._join(first, second)
  local one, other = first:match("^%s*%[(.*)%]%s*$"), second:match("^%s*%[(.*)%]%s*$")
  local comma = one:find("%S") and other:find("%S") and "," or ""
  return "[" .. one .. comma .. other .. "]"
end

-- Returns the JSON of users by organization id in lower case; or nil and what is wrong.
local function encode_all(organizations)
  local encoded = {}
  for org_id, users in pairs(organizations or {}) do
    if type(org_id) ~= "string" then return nil, "the keys are organization ids, not " .. type(org_id) .. "s" end
    local id = org_id:lower()
    local text, problem = encode_users(users)
    if not text then return nil, ("users of %s: %s"):format(org_id, problem) end
    if encoded[id] then return nil, ("users of %s are given twice"):format(id) end
    encoded[id] = text
  end
  return encoded
end

-- clients -------------------------------------------------------------------------------------------------------------

-- Returns nil; or what is wrong with a table whose fields have these types.
local function fault_of(given, types, what)
  if type(given) ~= "table" then return ("table expected, got %s"):format(type(given)) end
  for name, value in pairs(given) do
    local expected = types[name]
    if not expected then return ("unknown %s '%s'"):format(what, tostring(name)) end
    if expected ~= "any" and type(value) ~= expected then
      return ("%s '%s': expected a %s, got %s"):format(what, name, expected, type(value))
    end
  end
end

local OPTIONS = { organizations = "table", deleted = "table", token = "string", expires_at = "number",
  scope = "string" }

local TOKEN_SECONDS = 36000 -- as Podero's guides say

-- Returns a client that answers from these options:
--   organizations              users by organization id: arrays, or their JSON
--   deleted                    the same for users that only include_deleted lists
--   token, expires_at, scope   what client:token returns
function mock.new(options)
  options = options or {}
  local fault = fault_of(options, OPTIONS, "option")
  if fault then error(fault, 2) end
  local client = setmetatable({
    calls = {}, responses = {}, failures = {}, is_closed = false, access_token = options.token or "mock-token",
    expires_at = options.expires_at or c.now() + TOKEN_SECONDS, scope = options.scope or "read write",
  }, Client)
  for field, option in pairs { users = "organizations", deleted = "deleted" } do
    client[field], fault = encode_all(options[option])
    if fault then error(("option '%s': %s"):format(option, fault), 2) end
    for org_id in pairs(client[field]) do
      local _, err = arguments.list_users(client, org_id)
      if err then error(("option '%s': %s"):format(option, err.message), 2) end
    end
  end
  return client
end

-- failures ------------------------------------------------------------------------------------------------------------

local FAILURE = {
  kind = "string", status = "number", message = "string", detail = "any", code = "string", description = "string",
  retry_after = "number", retryable = "boolean", url = "string", headers = "table", times = "number",
  method = "string", org_id = "string",
}

local METHODS = { list_users = true, each_user = true, find_user = true, list_users_of = true, get = true,
  request = true, token = true }

-- Kinds that another attempt may cure, kinds of calls that are not sent, and kinds of responses with status 200.
local RETRYABLE = { network = true, timeout = true }
local UNSENT = { argument = true, closed = true }
local SUCCEEDED = { decode = true, schema = true, too_large = true, not_found = true }

-- Has the next call fail, or the next `times` ones. Fields of `failure`:
--   kind        the kind of the error; "http" if there is a status, else "network"
--   status, message, detail, code, description, retry_after, retryable, url, headers   fields of the error
--   times       how many calls fail; default 1
--   method, org_id   only calls of this method, for this organization
function Client:fail_next(failure)
  failure = failure or {}
  local fault = fault_of(failure, FAILURE, "field")
  if fault then error(fault, 2) end
  local kept = {}
  for name, value in pairs(failure) do kept[name] = value end
  kept.kind = kept.kind or kept.status and "http" or "network"
  kept.times = kept.times or 1
  if not c.new_error(kept.kind, "") then error(("unknown kind '%s'"):format(kept.kind), 2) end
  if kept.method and not METHODS[kept.method] then error(("unknown method '%s'"):format(kept.method), 2) end
  self.failures[#self.failures + 1] = kept
end

-- Sets what the error of a call that was sent has: its URL; and header fields, if there was a response.
local function describe(err, call, url, headers)
  err.url = url or base_url .. call.path .. (call.query and "?" .. call.query or "")
  if not err.status then return err end
  err.headers = {}
  for name, value in pairs(headers or {}) do err.headers[name:lower()] = value end
  if err.retry_after and not err.headers["retry-after"] then
    err.headers["retry-after"] = ("%d"):format(math.ceil(err.retry_after))
  end
  return err
end

local function make_error(failure, call)
  local kind, status, retryable = failure.kind, failure.status, failure.retryable
  if not status and SUCCEEDED[kind] then status = 200 end
  if retryable == nil and RETRYABLE[kind] then retryable = true end
  local message = failure.message or failure.status and ("HTTP %d"):format(failure.status) or "a failure of the mock"
  local err = c.new_error(kind, message, status, retryable)
  for _, name in ipairs { "detail", "code", "description", "retry_after" } do err[name] = failure[name] end
  if UNSENT[kind] then
    err.attempts = 0
    return err
  end
  return describe(err, call, failure.url, failure.headers)
end

-- Returns the error of the first failure that is for this call, or nil.
local function take_failure(client, method, call, org_id)
  for i, failure in ipairs(client.failures) do
    local is_for_call = (failure.method or method) == method
      and (not failure.org_id or org_id and failure.org_id:lower() == org_id:lower())
    if is_for_call then
      failure.times = failure.times - 1
      if failure.times <= 0 then table.remove(client.failures, i) end
      return make_error(failure, call)
    end
  end
end

-- lists ---------------------------------------------------------------------------------------------------------------

local function record(client, called)
  client.calls[#client.calls + 1] = called
end

-- Returns the JSON of the users that a call lists; nil if there is no such organization.
local function users_of(client, org_id, call)
  local id = org_id:lower()
  local users, deleted = client.users[id], client.deleted[id]
  if not users and not deleted then return nil end
  users = users or "[]"
  if deleted and ("&" .. (call.query or "") .. "&"):find("&include_deleted=true&", 1, true) then
    return mock._join(users, deleted)
  end
  return users
end

-- Returns what a list delivers (a user, if one is to be found), an error object or nil, and a function that tells the
-- caller of its end.
local function read_list(client, method, org_id, call)
  local err = take_failure(client, method, call, org_id)
  if err then return nil, err end
  local text = users_of(client, org_id, call)
  if not text then
    return nil, make_error({ kind = "http", status = 404, detail = { detail = "Not Found" },
      message = "HTTP 404: no such organization: " .. org_id }, call)
  end
  local result, count
  result, err, count = c.users(call, text)
  if err then describe(err, call) end
  return result, err, function()
    if call.on_progress then call.on_progress(#text, count) end
  end
end

-- Returns what list_users and find_user return.
local function list(client, method, org_id, call)
  local result, err, report = read_list(client, method, org_id, call)
  if err then return nil, err end
  report()
  return result
end

function Client.list_users(client, org_id, opts, ...)
  local call, err = arguments.list_users(client, org_id, opts, ...)
  record(client, { method = "list_users", org_id = org_id, opts = opts })
  if not call then return nil, err end
  return list(client, "list_users", org_id, call)
end

function Client.find_user(client, org_id, where, opts, ...)
  local call, err = arguments.find_user(client, org_id, where, opts, ...)
  record(client, { method = "find_user", org_id = org_id, where = where, opts = opts })
  if not call then return nil, err end
  return list(client, "find_user", org_id, call)
end

local Iterator = {}
Iterator.__index = Iterator
Iterator.__name = "podero.mock.Iterator"

function Iterator.__call(iterator)
  local user = iterator.users[iterator.position + 1]
  if user then
    iterator.position = iterator.position + 1
    return user
  end
  local failure, report = iterator.failure, iterator.report
  iterator:close()
  if failure then
    failure.delivered = iterator.position
    c.raise_failure(failure)
  end
  if report then report() end
  return nil
end

function Iterator:close()
  self.users, self.failure, self.report = {}, nil, nil
end

Iterator.__close = Iterator.close

-- An error of the arguments is raised here, any other by the iterator, as the client does.
function Client.each_user(client, org_id, opts, ...)
  local call, err = arguments.each_user(client, org_id, opts, ...)
  record(client, { method = "each_user", org_id = org_id, opts = opts })
  if not call then
    err.delivered = 0
    c.raise_failure(err)
  end
  local users, failure, report = read_list(client, "each_user", org_id, call)
  local iterator = setmetatable({ users = users or {}, failure = failure, report = report, position = 0 }, Iterator)
  return iterator, nil, nil, iterator
end

function Client.list_users_of(client, org_ids, opts, ...)
  local ids, _, aliases, fields, filter = arguments.org_ids(client, org_ids, opts, ...)
  record(client, { method = "list_users_of", org_ids = org_ids, opts = opts })
  local results, errors = {}, {}
  for _, id in ipairs(ids) do
    local call, err = arguments.list_users_of(client, id, opts, fields, filter)
    if call then results[id], err = list(client, "list_users_of", id, call) end
    errors[id] = err
  end
  for i = 1, #aliases, 2 do
    local alias, id = aliases[i], aliases[i + 1]
    results[alias], errors[alias] = results[id], errors[id]
  end
  return results, errors
end

-- other calls ---------------------------------------------------------------------------------------------------------

-- Sets what a request of this method and path is answered with: any value that can be written as JSON.
function Client:respond(method, path, value)
  if type(method) ~= "string" or type(path) ~= "string" then error("method and path: strings expected", 2) end
  local text, problem = c.encode(value)
  if not text then error("the response cannot be written as JSON: " .. problem, 2) end
  self.responses[method:upper() .. " " .. path] = text
end

-- Returns what `get` and `request` return.
local function answer(client, method, call)
  local err = take_failure(client, method, call)
  if err then return nil, err end
  local text = client.responses[call.http_method .. " " .. call.path]
  if not text then
    return nil, make_error({ kind = "http", status = 404, message = ("HTTP 404: no response to %s %s was set"):format(
      call.http_method, call.path) }, call)
  end
  local response = { status = 200, headers = {} }
  if call.http_method == "HEAD" then return call.raw and "" or true, response end
  local value
  value, err = c.value(call, text)
  if err then return nil, describe(err, call) end
  return value, response
end

function Client.get(client, path, query, opts, ...)
  local call, err = arguments.get(client, path, query, opts, ...)
  record(client, { method = "get", path = path, query = query, opts = opts })
  if not call then return nil, err end
  return answer(client, "get", call)
end

function Client.request(client, method, path, opts, ...)
  local call, err = arguments.request(client, method, path, opts, ...)
  record(client, { method = "request", http_method = method, path = path, opts = opts })
  if not call then return nil, err end
  return answer(client, "request", call)
end

function Client.token(client, ...)
  local call, err = arguments.token(client, ...)
  record(client, { method = "token" })
  if not call then return nil, err end
  call.path = "/oauth2/token/"
  err = take_failure(client, "token", call)
  if err then return nil, err end
  return client.access_token, client.expires_at, client.scope
end

function Client.close(client, ...)
  arguments.close(client, ...)
  client.is_closed = true
end

function Client.__close(client)
  client:close()
end

function Client.__tostring(client)
  return client.is_closed and "podero.mock.Client (closed)" or "podero.mock.Client"
end

return mock
