---@meta podero.mock

--- Makes clients for tests. They send nothing, and answer from what the test gives them.
---@class podero.mock
local mock = {}

--- Options of `mock.new`.
---@class podero.mock.Options
---@field organizations? table<string, podero.User[]|string> Users by organization id: arrays, or their JSON as a string (none).
---@field deleted? table<string, podero.User[]|string> Users that are listed only with `include_deleted`, likewise (none).
---@field token? string The first result of `client:token` ("mock-token").
---@field expires_at? number Its second result, in seconds since 1970 UTC (in ten hours).
---@field scope? string Its third result ("read write").

--- How calls fail. Most fields become fields of the error object.
---@class podero.mock.Failure
---@field kind? podero.ErrorKind What went wrong ("http" with a status, otherwise "network").
---@field status? integer HTTP status.
---@field message? string What happened, in one line.
---@field detail? any The body of the response.
---@field code? string OAuth2's `error`.
---@field description? string OAuth2's `error_description`.
---@field retry_after? number The seconds of `Retry-After`.
---@field retryable? boolean Whether the same call may succeed later (by kind and status).
---@field url? string The URL (that of the call).
---@field headers? table<string, string> Header fields of the response (none).
---@field times? integer How many calls fail (1).
---@field method? string Only calls of this method fail, such as "list_users" (any).
---@field org_id? string Only calls for this organization fail (any).

--- One call: the method's name and its arguments.
---@class podero.mock.Call
---@field method string Name of the method.
---@field org_id? string Its argument.
---@field org_ids? string[] Its argument.
---@field where? table Its argument.
---@field path? string Its argument.
---@field query? table Its argument.
---@field http_method? string Its argument.
---@field opts? table Its argument.

--- A client for tests. It has the methods of a real client.
---@class podero.mock.Client : podero.Client
---@field calls podero.mock.Call[] The calls so far, in order. Calls that raise an error because of their arguments are left out.
local Client = {}

--- Makes a client. It refuses the arguments that a real client refuses. Raises an error that names the field if a user
--- does not match the API's schema.
---@param options? podero.mock.Options Users and token
---@return podero.mock.Client client # with the methods of a real client
function mock.new(options) end

--- Makes a user. Required fields that are missing get values.
---@param fields? table<string, any> Fields of the user
---@return podero.User user # a new table
function mock.user(fields) end

--- Makes the next call fail, or the next `times` calls.
---@param failure podero.mock.Failure The error, how many calls fail, and which
function Client:fail_next(failure) end

--- Sets what `client:get` and `client:request` return for a method and a path.
---@param method string The HTTP method
---@param path string The path, without a query
---@param value any Anything that can be written as JSON
function Client:respond(method, path, value) end

return mock
