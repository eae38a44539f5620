-- The module podero.mock: a client that sends nothing. It has the methods of a client, and answers from the users and
-- responses that a test gives it, with the library's own filters, decoder and error objects.
--
-- Arguments of this chunk, from mock.c:
--   c       C functions
local c = ...

local mock = {}

local Client = {}
Client.__index = Client
Client.__name = "podero.mock.Client"

-- The values of the fields that each user must have.
local REQUIRED = {
  role = "user", email = "user@example.com", num_inverters = 0, num_heat_pumps = 0, num_electric_vehicles = 0,
  num_wallboxes = 0,
}

local MEMBERS = { id = true, organization_id = true }

local next_id = 0

local function new_uuid()
  next_id = next_id + 1
  return ("00000000-0000-4000-8000-%012x"):format(next_id)
end

-- Returns a user with these fields. The fields that a user must have, and that are missing, get values.
function mock.user(fields)
  local user = {}
  for name, value in pairs(REQUIRED) do user[name] = value end
  for name in pairs(MEMBERS) do user[name] = new_uuid() end
  for name, value in pairs(fields or {}) do user[name] = value end
  return user
end

-- Returns the JSON of an array of users, "" for none: without brackets, so that two can be joined. Raises an error if
-- it is not what the API's schema says.
local function encode_users(users, org_id)
  if type(users) ~= "table" then error(("users of %s: table expected, got %s"):format(org_id, type(users)), 4) end
  local parts = {}
  for i, user in ipairs(users) do
    local text, problem = c.encode(user)
    if not text then error(("user %d of %s: %s"):format(i, org_id, problem), 4) end
    parts[i] = text
  end
  local text = table.concat(parts, ",")
  local list, err = c.list_users("[" .. text .. "]", org_id)
  if not list then error(("users of %s: %s"):format(org_id, err.message), 4) end
  return text
end

local OPTIONS = { organizations = true, deleted = true, token = true }

local function encode_all(organizations, option)
  local encoded = {}
  for org_id, users in pairs(organizations or {}) do
    if type(org_id) ~= "string" then error(option .. ": the keys are organization ids", 3) end
    encoded[org_id:lower()] = encode_users(users, org_id)
  end
  return encoded
end

-- Returns a client that answers from these options: `organizations`, arrays of users by organization id; `deleted`, the
-- same for users that only include_deleted lists; `token`.
function mock.new(options)
  options = options or {}
  for name in pairs(options) do
    if not OPTIONS[name] then error(("unknown option '%s'"):format(tostring(name)), 2) end
  end
  return setmetatable({
    calls = {},
    users = encode_all(options.organizations, "organizations"),
    deleted = encode_all(options.deleted, "deleted"),
    access_token = options.token or "mock-token",
    responses = {}, failures = {}, is_closed = false,
  }, Client)
end

-- Failures ------------------------------------------------------------------------------------------------------------

local RETRYABLE = { network = true, timeout = true }

-- Has the next call fail, or the next `times` ones. Fields of `failure`:
--   kind        the kind of the error; "http" if there is a status, else "network"
--   status, message, detail, code, description, retry_after, retryable   fields of the error
--   times       how many calls fail; default 1
--   method, org_id   only calls of this method, for this organization
function Client:fail_next(failure)
  local kept = {}
  for name, value in pairs(failure or {}) do kept[name] = value end
  kept.kind = kept.kind or kept.status and "http" or "network"
  kept.times = kept.times or 1
  if not c.new_error(kept.kind, "") then error(("unknown kind '%s'"):format(tostring(kept.kind)), 2) end
  self.failures[#self.failures + 1] = kept
end

local function make_error(failure)
  local message = failure.message or failure.status and ("HTTP %d"):format(failure.status) or "a failure of the mock"
  local retryable = failure.retryable
  if retryable == nil and RETRYABLE[failure.kind] then retryable = true end
  local err = c.new_error(failure.kind, message, failure.status, retryable)
  for _, name in ipairs { "detail", "code", "description", "retry_after" } do err[name] = failure[name] end
  return err
end

-- Returns the error of the first failure that is for this call, or nil.
local function take_failure(client, method, org_id)
  if client.is_closed then return c.new_error("closed", "the client is closed", nil, false) end
  for i, failure in ipairs(client.failures) do
    local is_for_call = (failure.method or method) == method
      and (not failure.org_id or org_id and failure.org_id:lower() == org_id:lower())
    if is_for_call then
      failure.times = failure.times - 1
      if failure.times <= 0 then table.remove(client.failures, i) end
      return make_error(failure)
    end
  end
end

-- Lists ---------------------------------------------------------------------------------------------------------------

local function record(client, call)
  client.calls[#client.calls + 1] = call
  return call
end

-- Returns the JSON of an organization's users, or nil and an error object.
local function users_of(client, method, org_id, opts)
  local err = take_failure(client, method, org_id)
  if err then return nil, err end
  local id = org_id:lower()
  local text, deleted = client.users[id], client.deleted[id]
  if not text and not deleted then
    return nil, make_error { kind = "http", status = 404, message = "HTTP 404: no such organization: " .. id }
  end
  if opts and opts.include_deleted and deleted and deleted ~= "" then
    text = text and text ~= "" and text .. "," .. deleted or deleted
  end
  return "[" .. (text or "") .. "]"
end

-- Calls the function of a list method: first to check its arguments, then with the users.
local function list(client, method, org_id, opts, ...)
  local ok, err = c[method](nil, org_id, ...)
  if not ok then return nil, err end
  local text
  text, err = users_of(client, method, org_id, opts)
  if not text then return nil, err end
  local result
  result, err = c[method](text, org_id, ...)
  if result and opts and opts.on_progress then opts.on_progress(#text, type(result) == "table" and #result or 1) end
  return result, err
end

function Client:list_users(org_id, opts, ...)
  record(self, { method = "list_users", org_id = org_id, opts = opts })
  return list(self, "list_users", org_id, opts, opts, ...)
end

function Client:find_user(org_id, where, opts, ...)
  record(self, { method = "find_user", org_id = org_id, where = where, opts = opts })
  return list(self, "find_user", org_id, opts, where, opts, ...)
end

local Iterator = {}
Iterator.__index = Iterator
Iterator.__name = "podero.mock.Iterator"

function Iterator:__call()
  if self.failure then
    local failure = self.failure
    self.failure = nil
    error(failure, 0)
  end
  self.position = self.position + 1
  return self.users[self.position]
end

function Iterator:close()
  self.users, self.failure = {}, nil
end

Iterator.__close = Iterator.close

-- An error of the arguments is raised here, any other by the iterator, as the client does.
function Client:each_user(org_id, opts, ...)
  record(self, { method = "each_user", org_id = org_id, opts = opts })
  local users, err = list(self, "each_user", org_id, opts, opts, ...)
  if err then err.delivered = 0 end
  if err and (err.kind == "argument" or err.kind == "closed") then error(err, 0) end
  local iterator = setmetatable({ users = users or {}, failure = err, position = 0 }, Iterator)
  return iterator, nil, nil, iterator
end

function Client:list_users_of(org_ids, opts, ...)
  if type(org_ids) ~= "table" then
    error("bad argument #1 to 'list_users_of' (array of organization ids expected, got " .. type(org_ids) .. ")", 2)
  end
  record(self, { method = "list_users_of", org_ids = org_ids, opts = opts })
  local results, errors = {}, {}
  for _, org_id in ipairs(org_ids) do
    if not results[org_id] and not errors[org_id] then
      results[org_id], errors[org_id] = list(self, "list_users_of", org_id, opts, opts, ...)
    end
  end
  return results, errors
end

-- Other calls ---------------------------------------------------------------------------------------------------------

-- Sets what a request of this method and path is answered with: any value that can be written as JSON.
function Client:respond(method, path, value)
  local text, problem = c.encode(value)
  if not text then error("the response cannot be written as JSON: " .. problem, 2) end
  self.responses[method:upper() .. " " .. path] = text
end

local function answer(client, name, method, path, opts)
  if type(path) ~= "string" then
    error(("bad argument to '%s' (path: string expected, got %s)"):format(name, type(path)), 3)
  end
  if not c.check_path(path) then
    return nil, c.new_error("argument", ("the path cannot be requested: '%s'"):format(path), nil, false)
  end
  local err = take_failure(client, name)
  if err then return nil, err end
  local text = client.responses[method .. " " .. path]
  if not text then
    return nil, make_error { kind = "http", status = 404, message = ("HTTP 404: no response to %s %s was set"):format(
      method, path) }
  end
  return opts and opts.raw and text or c.decode(text), { status = 200, headers = {} }
end

function Client:get(path, query, opts)
  record(self, { method = "get", path = path, query = query, opts = opts })
  return answer(self, "get", "GET", path, opts)
end

function Client:request(method, path, opts)
  record(self, { method = "request", http_method = method, path = path, opts = opts })
  return answer(self, "request", tostring(method):upper(), path, opts)
end

function Client:token()
  record(self, { method = "token" })
  local err = take_failure(self, "token")
  if err then return nil, err end
  return self.access_token
end

function Client:close()
  self.is_closed = true
end

Client.__close = Client.close

function Client.__tostring(client)
  return client.is_closed and "podero.mock.Client (closed)" or "podero.mock.Client"
end

return mock
