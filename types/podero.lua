---@meta podero
-- For editors: LuaCATS annotations of the whole interface. Nothing loads this file.

--- A client for Podero's Partner API: lists the users of an organization as Lua tables.
---
--- ```lua
--- local podero = require "podero"
--- local client, err = podero.new { client_id = "…", client_secret = "…" }
--- if not client then io.stderr:write(tostring(err), "\n") os.exit(1) end
--- local users, err = client:list_users("016b78a7-0c7c-4241-a277-015c3ad3cb90")
--- if not users then io.stderr:write(tostring(err), "\n") os.exit(1) end
--- for _, user in ipairs(users) do print(user.role, user.email, user.first_name or "-") end
--- client:close()
--- ```
---@class podero
---@field _VERSION string `"podero 0.2.0"`
---@field PRODUCTION string The base URL of the production environment, the default.
---@field SANDBOX string The base URL of the sandbox. Credentials belong to one environment.
---@field Role podero.Roles The values of `user.role`, by name.
---@field null lightuserdata JSON's null in the results of `client:get` and `client:request` and in `err.detail`; the same value as `cjson.null` and `ngx.null`.
---@field waits podero.Waits Functions for the option `wait`.
local podero = {}

--- The access level of a user. A role that the API adds later is delivered as its string.
---@alias podero.Role
---| "admin" # administrator
---| "staff" # staff of the organization
---| "user" # an ordinary user
---| "guest" # a guest

--- The roles by name. Writing to this table, or reading any other key, raises an error.
---@class podero.Roles
---@field ADMIN "admin" An administrator.
---@field STAFF "staff" Staff of the organization.
---@field USER "user" An ordinary user.
---@field GUEST "guest" A guest.

--- Functions for the option `wait`, for calls made in coroutines of an event loop. Outside a coroutine, calls block.
--- Reading any other key raises an error.
---@class podero.Waits
---@field cqueues fun(seconds: number, fd?: integer) For cqueues.
---@field luv fun(seconds: number, fd?: integer) For luv.
---@field copas fun(seconds: number, fd?: integer) For a Copas that has `pause` or `sleep`.

--- A user as the API lists it (the schema UserOutput). A nullable field that is null or absent has no key, so
--- `user.first_name or "-"` works. Keys that the schema lacks are kept. To declare one of them, write
--- `---@class podero.User` and `---@field country_iso2? string` in your own code.
---@class podero.User
---@field id string UUID of the user.
---@field organization_id string UUID of the organization.
---@field external_user_id? string The id that your own systems have for the user.
---@field role podero.Role The access level: one of the values of `podero.Role`.
---@field email string The e-mail address.
---@field first_name? string The first name.
---@field last_name? string The last name.
---@field is_onboarded? boolean Whether the user has finished onboarding.
---@field street_and_number? string Street and house number.
---@field street_add_info? string An addition to the street.
---@field zip_code? string The postal code. If the API sends a number, this is its text.
---@field town? string The town.
---@field country? string The country.
---@field latitude? number Degrees north. Always a float.
---@field longitude? number Degrees east. Always a float.
---@field last_login? string When the user last logged in: an RFC 3339 date-time, for `podero.time`.
---@field num_inverters integer The number of inverters.
---@field num_heat_pumps integer The number of heat pumps.
---@field num_electric_vehicles integer The number of electric vehicles.
---@field num_wallboxes integer The number of wallboxes.
---@field joined_at? string When the user joined: an RFC 3339 date-time, for `podero.time`.

--- What went wrong: one of these words.
---@alias podero.ErrorKind
---| "argument" # an argument or a setting is invalid, such as an organization id that is not a UUID
---| "auth" # the token endpoint issued no token, or the API rejected a new one with 401
---| "http" # any other status that is not 2xx, redirects included
---| "network" # there is no connection, or it was lost
---| "timeout" # the call's `timeout` has passed
---| "decode" # the response is not JSON, or was cut short
---| "schema" # the response does not match the API's schema; the message says where
---| "too_large" # the response exceeds `max_response_bytes` or another limit, such as 65,536 values for a user
---| "not_found" # `find_user` only: the whole list has no such user
---| "closed" # the client is closed
---| "memory" # the program is out of memory

--- A failure at run time. `tostring(err)` is a readable one-line message that contains no secrets. `"text: " .. err`
--- works, too.
---@class podero.Error
---@operator concat(any): string
---@field kind podero.ErrorKind What went wrong, in one word.
---@field message string What happened, in one readable line.
---@field status? integer HTTP status, if there was one.
---@field code? string OAuth2's `error`, if the response has it.
---@field description? string OAuth2's `error_description`, if the response has it.
---@field detail? any The body of the response, decoded if it is JSON, otherwise its first 1,024 bytes as a string.
---@field retry_after? number The seconds of `Retry-After`, if the response has it.
---@field attempts integer How many requests the call sent to the API; if it got no token, how many to the token endpoint.
---@field retryable boolean Whether the same call may succeed later.
---@field url? string The URL that was requested last, even if no response came: the API's or the token endpoint's.
---@field headers? table<string, string> Header fields of the response, if one came: names in lower case, repeated fields joined with `, `, without `set-cookie`. Secrets are replaced.
---@field delivered? integer `each_user` only: how many users the loop had received.

--- What `on_event` receives. It contains no secrets.
---@alias podero.Event podero.ExchangeEvent|podero.RetryEvent|podero.StoreEvent

--- An HTTP transfer has ended.
---@class podero.ExchangeEvent
---@field type "exchange" The type of this event.
---@field purpose "token"|"api" Whether it was a token request or an API request.
---@field method string HTTP method.
---@field url string The URL, without secrets.
---@field status? integer HTTP status, if a response came.
---@field attempt integer From 1; for token requests, since the last token.
---@field seconds number How long the transfer took.
---@field seconds_to_first_byte? number From its start to the first byte of the response, if one came.
---@field bytes integer How many bytes of the decoded body were received.
---@field reused boolean Whether the connection had been used before.
---@field headers? table<string, string> Header fields of the response, if one came: names in lower case, repeated fields joined with `, `, without `set-cookie`. Secrets are replaced.
---@field error_kind? podero.ErrorKind What went wrong; nil if the attempt succeeded.

--- A call pauses before another attempt.
---@class podero.RetryEvent
---@field type "retry" The type of this event.
---@field attempt integer The attempt that failed, from 1.
---@field status? integer Its HTTP status, if a response came.
---@field error_kind podero.ErrorKind What went wrong.
---@field pause number Seconds until the next attempt.

--- An operation of the token store raised or returned an error.
---@class podero.StoreEvent
---@field type "store" The type of this event.
---@field operation "get"|"set"|"add"|"delete" The operation that failed.
---@field message string The error that it raised or returned.

--- A shared cache of tokens, such as `ngx.shared.tokens`. The methods work like those of `ngx.shared.DICT`.
---@class podero.TokenStore
---@field get fun(self: any, key: string): any Returns the value of a key, a string, or nil.
---@field set fun(self: any, key: string, value: string, ttl?: number): any Stores a value for `ttl` seconds. `ttl` is nil if the server has not said when the token expires: then store the value without a limit.
---@field add? fun(self: any, key: string, value: any, ttl: number): any Stores a value and returns true; if the key exists, returns false and "exists". The client uses it as a lock: one client requests a token while the others wait.
---@field delete? fun(self: any, key: string): any Removes the lock that `add` made.

--- A secret, or a function that returns it, or nil and a message. The function is called when the secret is needed. It
--- may yield if calls may, and cannot call its own client.
---@alias podero.Secret string|fun(): string?, string?

--- Certificates. All files are PEM. The minimum version is TLS 1.2. The first call opens the files, not `podero.new`.
--- If one is unusable, the call fails at once with kind "argument".
---@class podero.TlsOptions
---@field ca_file? string A file with certificates of authorities. They replace the system's.
---@field ca_path? string A folder of such certificates. They replace the system's.
---@field cert? string The client's certificate.
---@field key? string The client's private key. Not needed if `cert` contains it.
---@field key_password? podero.Secret The password of an encrypted key. Nothing ever prompts for it.
---@field verify? boolean Whether to check the server's certificate and host name (true).

--- Options of `podero.new`. Those that you leave out are read from the environment, if they have a variable:
--- `PODERO_BASE_URL`, `PODERO_CLIENT_ID`, `PODERO_CLIENT_SECRET`, `PODERO_USERNAME`, `PODERO_PASSWORD`,
--- `PODERO_ACCESS_TOKEN`, `PODERO_CLIENT_SECRET_FILE`, `PODERO_PASSWORD_FILE`, `PODERO_ACCESS_TOKEN_FILE`,
--- `PODERO_TOKEN_URL`, `PODERO_LOG`. Credentials given as options are never mixed with those of the environment.
--- An empty string is an error, except for `proxy`; an empty variable counts as unset.
---@class podero.Options
---@field base_url? string Scheme, host, optional port and path prefix (`podero.PRODUCTION`). `http://` is refused unless the host is loopback or `allow_http` is true.
---@field client_id? string The application's id, for the client credentials grant; with the password grant, it authenticates the client.
---@field client_secret? podero.Secret The secret that belongs to `client_id`. A function is called once per token request, and once more if the server refuses what it returned.
---@field username? string The user's name, for the password grant.
---@field password? podero.Secret The user's password. A function is called as for `client_secret`.
---@field access_token? podero.Secret An access token of your own. The client then requests no tokens. A function is called before the first call and after a 401.
---@field client_secret_file? string A file whose first line is the client secret. It is read for each token request, and once more if the server refuses the secret.
---@field password_file? string The same for the password.
---@field access_token_file? string The same for the access token; read before the first call and after a 401.
---@field token_url? string Where tokens come from: an absolute URL, a path on `base_url`, or whichever of Podero's two token endpoints on `base_url` issues the token ("auto").
---@field token_encoding? "auto"|"form"|"json" How token requests are encoded: as a form (RFC 6749), as JSON, or as the server can read them ("auto").
---@field client_auth? "auto"|"basic"|"body" How the client authenticates itself (RFC 6749, 2.3.1). "auto": HTTP Basic first, and the body if the client is refused.
---@field scope? string The scope to ask for in token requests, unless a refresh token is sent.
---@field timeout? number Seconds for one whole call: token, every attempt, every pause (30). For `each_user`: until the first user, and after that how long the loop waits without receiving a byte.
---@field connect_timeout? number Seconds for making one connection: looking up the name, TCP and TLS (10).
---@field max_retries? integer How often a call tries again after the first attempt (2).
---@field max_connections? integer How many connections the client has at the same time (256). Further calls wait for one.
---@field max_response_bytes? integer How large a response that is kept may be (256 MiB; `get` and `request` 16 MiB): decoded bytes, or 16 for each JSON value, whichever is more. Does not apply to `each_user` and `find_user`, which keep nothing. If a list is filtered, only what is delivered counts.
---@field validate? boolean Check users against the schema (true).
---@field allow_http? boolean Accept `http://` for any host (false).
---@field headers? podero.Headers Additional header fields of API requests, not of token requests.
---@field tls? podero.TlsOptions Certificates, and whether to check the server's ({}).
---@field proxy? string The URL of a proxy, in libcurl's syntax; `""` for none. By default libcurl's environment variables apply.
---@field http_version? "auto"|"1.1" "1.1" keeps API requests off HTTP/2 ("auto": HTTP/2 if the server offers it over TLS). Token requests always use HTTP/1.1.
---@field user_agent? string Text to put before the library's own user agent.
---@field token_store? podero.TokenStore A shared cache of tokens (none).
---@field wait? fun(seconds: number, fd?: integer) How a call waits, so that other coroutines can run: returns after `seconds` at the latest, and may return earlier if `fd` is readable. An error in it ends the call. `podero.waits` has functions for some event loops. Without this option a call blocks its thread; in nginx it yields.
---@field on_event? fun(event: podero.Event) Called after each HTTP transfer, before each retry, and if the token store fails. It cannot yield.
---@field log? "info"|"debug"|fun(level: "info"|"debug", line: string) Logs token requests, retries and failures ("info"), or also each HTTP transfer ("debug"), as lines of `key=value` pairs without secrets: to standard error, in nginx to its log at level notice. A function receives lines of both levels.

--- Additional header fields of API requests, by name: a table, or a function that returns one. The function runs once
--- per call, in the coroutine that makes the call. It cannot yield. Names and values that are not valid in HTTP are
--- refused, and so are the fields that the library sets itself: `Authorization`, `Host`, `Content-Length`,
--- `Content-Type`, `Transfer-Encoding`, `Connection`, `Keep-Alive`, `Accept-Encoding`, `TE`, `Trailer`, `Upgrade`,
--- `Expect`, `Proxy-*`, `Cookie` and `User-Agent`.
---@alias podero.Headers table<string, string> | fun(): table<string, string>?

--- Parameters of a query. An array repeats the parameter. Numbers are written exactly.
---@alias podero.Query table<string, string|number|boolean|(string|number|boolean)[]>

--- Options of one call. Those that you leave out are the client's.
---@class podero.CallOptions
---@field timeout? number As for `podero.new`.
---@field max_retries? integer As for `podero.new`.
---@field max_response_bytes? integer As for `podero.new`.
---@field headers? podero.Headers In addition to the client's. They replace those of the same name, in any case.

--- A value that a field must have, or an array of values of which one must match. `podero.null` matches a field that is
--- null or absent.
---@alias podero.Condition string|number|boolean|lightuserdata|(string|number|boolean|lightuserdata)[]

--- Options of the methods that list users. Users that a filter leaves out are read and checked, but not delivered.
---@class podero.UsersOptions : podero.CallOptions
---@field include_deleted? boolean Whether to list deleted users, too (false).
---@field query? podero.Query Additional query parameters.
---@field fields? string[] The users have only these keys (all). Names that the schema lacks are allowed.
---@field role? podero.Role|podero.Role[] Only users with this role, or with one of these.
---@field search? string Only users with this text in `email`, `external_user_id`, `first_name`, `last_name`, or first and last name joined by a space. The case of Latin, Greek and Cyrillic letters is ignored. `""` matches all users.
---@field on_invalid? fun(message: string, position: integer) Called for each violation of the schema, with the user's position in the list from 1. The user is delivered unchanged. It cannot yield.

--- Options of `client:find_user`.
---@class podero.FindOptions : podero.UsersOptions
---@field on_progress? fun(bytes: integer, users: integer) Called with how much has been read, at most about ten times a second, and once at the end. It cannot yield.

--- Options of `client:list_users` and `client:each_user`.
---@class podero.ListOptions : podero.UsersOptions
---@field where? table<string, podero.Condition> Only users whose fields have these values.
---@field limit? integer Deliver at most this many users, then end the transfer.
---@field on_progress? fun(bytes: integer, users: integer) Called with how much has been read, at most about ten times a second, and once at the end. It cannot yield.

--- Options of `client:list_users_of`.
---@class podero.ManyOptions : podero.UsersOptions
---@field where? table<string, podero.Condition> Only users whose fields have these values.
---@field limit? integer Deliver at most this many users of each organization.
---@field concurrency? integer How many calls run at once (8).

--- Options of `client:get`.
---@class podero.GetOptions : podero.CallOptions
---@field raw? boolean Return the body as text instead of decoding it (false).

--- Options of `client:request`.
---@class podero.RequestOptions : podero.CallOptions
---@field raw? boolean Return the body as text instead of decoding it (false).
---@field query? podero.Query Parameters of the query.
---@field body? table|string A table is sent as JSON: as an array if all its keys are positive integers, otherwise as an object. An empty table is an object. Numbers are written exactly. A string is sent unchanged. Not for GET and HEAD.
---@field content_type? string The media type of the body. A string needs it. Default for a table: `application/json`.

--- Status and header fields of a successful response.
---@class podero.Response
---@field status integer HTTP status.
---@field headers table<string, string> Names in lower case, repeated fields joined with `, `, without `set-cookie`.

--- Makes a client. Nothing is sent until the first call.
---
--- Raises an error that names the option if an option is unknown, or its type or value is wrong. Returns `nil, err` of
--- kind "argument" if credentials are missing, if a credential file, URL or token is unusable, or if anything in the
--- environment is wrong.
---@param options? podero.Options Options may also come from a metatable's `__index`.
---@return podero.Client? client # nil if there is an error
---@return podero.Error? err # of kind "argument"
function podero.new(options) end

--- Converts an RFC 3339 date-time, such as `user.last_login`, to seconds. Raises an error if `s` is not a string.
---@param s string The date-time
---@return number? seconds # since 1970 UTC; a float if the text has a fraction
---@return string? message # why `s` is not a date-time
function podero.time(s) end

--- Returns whether a value is an error object of this module.
---@param v any A value of any type
---@return boolean is_error # true if it is an error object
function podero.is_error(v) end

--- What `client:each_user` returns. Each call of it returns the next user, or nil when there are no more. Several
--- coroutines may call it; each user goes to one of them.
---@class podero.Iterator
---@overload fun(): podero.User?
local Iterator = {}

--- Ends the transfer, if it has not ended. After that the iterator returns nil. Closing it twice is harmless.
function Iterator:close() end

--- A client: one set of credentials, its tokens and its connections. It belongs to the Lua state that made it. Methods
--- may be called from any coroutine, and several calls may run at once.
---@class podero.Client
local Client = {}

--- Lists the users of an organization, in one table.
---@param org_id string UUID of the organization, in either case
---@param opts? podero.ListOptions Filters and other options of this call
---@return podero.User[]? users # an array; nil if the call failed
---@return podero.Error? err # what went wrong
function Client:list_users(org_id, opts) end

--- Loops over the users of an organization while they arrive, in bounded memory:
---
--- ```lua
--- for user in client:each_user(org_id) do print(user.email) end
--- ```
---
--- A slow loop slows down the download. A failure raises a `podero.Error`; its `delivered` is the number of users that
--- the loop has received. Leaving the loop early ends the transfer: on Lua 5.4 and later at once, on older versions
--- when the iterator is closed or collected.
---@param org_id string UUID of the organization
---@param opts? podero.ListOptions Filters and other options of this call
---@return podero.Iterator iterator # call it for the next user, or use it in a `for`; it has `close`
function Client:each_user(org_id, opts) end

--- Finds the first user whose fields have the given values, and ends the transfer as soon as it is found.
---@param org_id string UUID of the organization
---@param where table<string, podero.Condition> At least one field
---@param opts? podero.FindOptions Options of this call
---@return podero.User? user # nil if the call failed
---@return podero.Error? err # of kind "not_found" if the whole list has no such user
function Client:find_user(org_id, where, opts) end

--- Lists the users of many organizations at once, on shared connections. If one organization fails, the others are
--- still returned. Each id is in exactly one of the two tables. Ids that differ only in case are requested once, and
--- share the result.
---@param org_ids string[] UUIDs of the organizations
---@param opts? podero.ManyOptions Filters and other options of this call
---@return table<string, podero.User[]> results # by organization id, as given
---@return table<string, podero.Error> errors # by organization id, as given
function Client:list_users_of(org_ids, opts) end

--- Sends any other GET request to the Partner API, with the same tokens, retries and errors.
---@param path string What follows `base_url`, percent-encoded if needed. Dot segments, empty segments, backslashes, control characters and escaped slashes are refused, in any spelling
---@param query? podero.Query Parameters of the query
---@param opts? podero.GetOptions Options of this call
---@return any value # the decoded JSON, with `podero.null` for null, and integers if Lua has them; nil if the call failed
---@return podero.Response|podero.Error response # the response; the error if the call failed
function Client:get(path, query, opts) end

--- Sends any other request to the Partner API, with the same tokens, limits and errors.
---
--- GET, HEAD, PUT and DELETE are retried as `get` is. POST and PATCH use a separate connection, and are sent again only
--- if the server cannot have received the request, after a 429, after a 503 with `Retry-After`, and once with a new
--- token after a 401. If they fail in any other way, `err.retryable` is false, because the server may have acted on the
--- request.
---@param method "GET"|"HEAD"|"POST"|"PUT"|"PATCH"|"DELETE" The HTTP method
---@param path string As for `client:get`
---@param opts? podero.RequestOptions Body, query and other options of this call
---@return any value # as for `client:get`; true if the response has no body
---@return podero.Response|podero.Error response # the response; the error if the call failed
function Client:request(method, path, opts) end

--- Returns the current access token. If there is none, it requests one.
---@return string? access_token # nil if there is none
---@return number|podero.Error|nil expires_at # seconds since 1970, nil if unknown; the error if there is no token
---@return string? scope # the scope of the token, separated by spaces; nil if unknown
function Client:token() end

--- Ends the calls under way and frees everything. Later calls return `nil, err` of kind "closed". Garbage collection,
--- and `<close>` in Lua 5.4 and later, do the same.
function Client:close() end

return podero
