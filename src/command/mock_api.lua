--- A stand-in for the Partner API, for trying things out: answers requests from a list of users. It holds no state but
-- the token. See podero.mock for tests.

local cjson = require "cjson"
local mime = require "mime"
local percent = require "podero.command.percent"
local rows = require "podero.command.rows"

local mock_api = {}

mock_api.CLIENT_ID, mock_api.CLIENT_SECRET = "demo-client", "demo-secret"
mock_api.USERNAME, mock_api.PASSWORD = "demo-user", "demo-password"
mock_api.ORG_ID = "016b78a7-0c7c-4241-a277-015c3ad3cb90"

local TOKEN, TOKEN_SECONDS = "demo-token", 36000

-- users ---------------------------------------------------------------------------------------------------------------

local FIRST = { "Anna", "Bert", "Cleo", "David", "Emma", "Felix", "Gerda", "Hugo", "Ida", "Jonas" }
local LAST = { "Gruber", "Huber", "Bauer", "Wagner", "Pichler", "Steiner", "Moser", "Mayer" }
local ROLES = { "admin", "staff", "user", "user", "user", "guest" }

--- Returns the i-th user. The first is an admin, anna.gruber.100001@example.com, whom the examples of the README find.
local function make_user(i)
  local n = i - 1
  local first, last = FIRST[n % #FIRST + 1], LAST[n % #LAST + 1]
  return {
    id = ("00000000-0000-4000-8000-%012d"):format(i), organization_id = mock_api.ORG_ID,
    external_user_id = ("C-%05d"):format(i), role = ROLES[n % #ROLES + 1],
    email = ("%s.%s.%d@example.com"):format(first:lower(), last:lower(), 100000 + i),
    first_name = first, last_name = last,
    is_onboarded = i % 3 ~= 0, town = "Graz", country = "AT", num_inverters = i % 2, num_heat_pumps = i % 3,
    num_electric_vehicles = i % 2, num_wallboxes = i % 2,
  }
end

--- Returns the JSON of the made-up users of these numbers, the same each time.
function mock_api.make_users(from, to)
  local encode, list = rows.encode, {}
  for i = from, to do list[#list + 1] = encode(make_user(i)) end
  return "[" .. table.concat(list, ",") .. "]"
end

-- requests ------------------------------------------------------------------------------------------------------------

--- Returns the values of a form or a query by name: of a repeated name, the last.
local function values_of(text)
  local found = {}
  for name, value in text:gmatch("([^&=]+)=([^&]*)") do
    found[percent.decode_form(name)] = percent.decode_form(value)
  end
  return found
end

--- Returns the parameters of a token request, which is a form or JSON.
local function parameters(request)
  if (request.headers["content-type"] or ""):find("json", 1, true) then
    local ok, value = pcall(cjson.decode, request.body)
    return ok and type(value) == "table" and value or {}
  end
  return values_of(request.body)
end

local function has_client(request, given)
  local basic = (request.headers.authorization or ""):match("^Basic (.+)$")
  local id, secret = given.client_id, given.client_secret
  if basic then id, secret = percent.decode_form(mime.unb64(basic) or ""):match("^([^:]*):(.*)$") end
  return id == mock_api.CLIENT_ID and secret == mock_api.CLIENT_SECRET
end

local function has_password(_, given)
  return given.username == mock_api.USERNAME and given.password == mock_api.PASSWORD
end

-- By grant_type: whether the credentials are right, and the response if they are not.
local GRANTS = {
  client_credentials = { is_right = has_client, status = 401, body = '{"error": "invalid_client"}' },
  password = { is_right = has_password, status = 400, body = '{"error": "invalid_grant"}' },
}

local function issue_token(request)
  if request.method ~= "POST" then return 405, '{"detail": "Method Not Allowed"}' end
  local given = parameters(request)
  local grant = GRANTS[given.grant_type]
  if not grant then return 400, '{"error": "unsupported_grant_type"}' end
  if not grant.is_right(request, given) then return grant.status, grant.body end
  return 200, ('{"access_token": "%s", "token_type": "Bearer", "expires_in": %d, "scope": "read write"}'):format(TOKEN,
    TOKEN_SECONDS)
end

local TOKEN_PATHS = { ["/oauth2/token/"] = true, ["/api/partners/v2.0/auth/token"] = true }

local BOOLEANS = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false }

local NOT_BOOLEAN = '{"detail": [{"type": "bool_parsing", "loc": ["query", "include_deleted"], '
  .. '"msg": "Input should be a valid boolean"}]}'

local function list_users(query, lists)
  local includes_deleted = BOOLEANS[(values_of(query).include_deleted or "false"):lower()]
  if includes_deleted == nil then return 422, NOT_BOOLEAN end
  return 200, includes_deleted and lists.all or lists.users
end

--- Returns status and JSON body of the response to a request: a table with `method`, `path`, `query` ("" for none),
-- `headers` (names in lower case) and `body`. `lists`: JSON arrays, `users`, and `all`, with the deleted ones.
function mock_api.answer(request, lists)
  if TOKEN_PATHS[request.path] then return issue_token(request) end
  if request.headers.authorization ~= "Bearer " .. TOKEN then return 401, '{"detail": "Unauthorized"}' end
  local org_id = request.path:match("^/api/partners/v2%.0/org/([^/]+)/users$")
  if org_id ~= mock_api.ORG_ID then return 404, '{"detail": "Not Found"}' end
  if request.method ~= "GET" then return 405, '{"detail": "Method Not Allowed"}' end
  return list_users(request.query, lists)
end

return mock_api
