---@meta podero.mock

--- A client for the tests of programs that use one. It sends nothing, and answers from what the test gives it.
---@class podero.mock
local mock = {}

---@class podero.mock.Options
---@field organizations? table<string, podero.User[]|string> Users by organization id: an array, or its JSON as text.
---@field deleted? table<string, podero.User[]|string> Users that only `include_deleted` lists, by organization id.
---@field token? string What `client:token` returns; default `"mock-token"`.
---@field expires_at? number Its second result; default: in ten hours.
---@field scope? string Its third result; default `"read write"`.

---@class podero.mock.Failure
---@field kind? podero.ErrorKind Default: `"http"` if there is a status, else `"network"`.
---@field status? integer HTTP status.
---@field message? string One line.
---@field detail? any The body of the response.
---@field code? string Error code of OAuth2.
---@field description? string Its description.
---@field retry_after? number Seconds.
---@field retryable? boolean Default: by kind and status.
---@field url? string Default: that of the call.
---@field headers? table<string, string> Header fields of the response; default: none.
---@field times? integer How many calls fail; default 1.
---@field method? string Only calls of this method, such as `"list_users"`.
---@field org_id? string Only calls for this organization.

--- What was called: the method's name and its arguments. Calls that raise an error at their arguments are left out.
---@class podero.mock.Call
---@field method string Name of the method.
---@field org_id? string Its argument.
---@field org_ids? string[] Its argument.
---@field where? table Its argument.
---@field path? string Its argument.
---@field query? table Its argument.
---@field http_method? string Its argument.
---@field opts? table Its argument.

---@class podero.mock.Client : podero.Client
---@field calls podero.mock.Call[] What was called, in order.
local Client = {}

--- Makes a client. It refuses the arguments that a real client refuses. Raises an error that names the field if a user
--- is not what the API's schema says.
---@param options? podero.mock.Options What it answers from
---@return podero.mock.Client client # with the methods of a real client
function mock.new(options) end

--- Makes a user. The fields that a user must have get values if they are missing.
---@param fields? table<string, any> Fields of the user
---@return podero.User user # a new table
function mock.user(fields) end

--- Has the next calls fail.
---@param failure podero.mock.Failure How, how often, and which calls
function Client:fail_next(failure) end

--- Sets what `client:get` and `client:request` return for a path.
---@param method string The HTTP method
---@param path string As of `client:get`
---@param value any What can be written as JSON
function Client:respond(method, path, value) end

return mock
