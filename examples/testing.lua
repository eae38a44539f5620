-- A test of a function that uses a client, without a network: podero.mock replaces the client.
--
--   lua5.4 examples/testing.lua

local mock = require "podero.mock"

-- The function that is tested: returns the e-mail addresses of the admins, or nil and a text for people.
local function admins(client, org_id)
  local users, err = client:list_users(org_id, { role = "admin", fields = { "email" } })
  if not users then return nil, err.retryable and "try again later" or tostring(err) end
  local list = {}
  for i, user in ipairs(users) do list[i] = user.email end
  return list
end

local ORG = "016b78a7-0c7c-4241-a277-015c3ad3cb90"
local client = mock.new {
  organizations = {
    [ORG] = {
      mock.user { role = "admin", email = "ada@example.com" },
      mock.user { role = "user", email = "bob@example.com" },
    },
  },
}

-- It lists admins only.
local list = assert(admins(client, ORG))
assert(#list == 1 and list[1] == "ada@example.com")

-- It says what to do if the API is busy.
client:fail_next { status = 503 }
local none, problem = admins(client, ORG)
assert(none == nil and problem == "try again later")

-- There were two calls, for this organization.
assert(#client.calls == 2 and client.calls[2].org_id == ORG)

print "3 tests passed"
