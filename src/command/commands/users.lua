local client = require "podero.command.client"
local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local option = require "podero.command.option"
local output = require "podero.command.output"
local podero = require "podero"
local user_output = require "podero.command.user_output"
local where = require "podero.command.where"

local users = {
  summary = "List the users of organizations.",
  arguments = { { name = "ORG_ID", key = "org_id", help = "The organizations, which are listed in this order.",
    many = true, convert = convert.organization } },
  options = {
    { "Which users", {
      option("--role ROLE", "Only users with this role; may be repeated.", { choices = where.ROLES, many = true }),
      option("--search TEXT", "Only users with this text in e-mail, names or external id, in upper or lower case.",
        { empty = true }),
      option("--where FIELD=VALUE", "Only users with this value; FIELD= matches those without one. May be repeated: "
        .. "all fields must match, and a field given twice matches either value. podero help find lists the fields.",
        { convert = where.read, many = true }),
      option("--limit N", "At most this many users in all.", { convert = convert.limit }),
      option("--include-deleted", "Also users that are deleted."),
    } },
    { "Output", user_output.OPTIONS },
    { nil, {
      option("--count", "Print how many users there are, and nothing else."),
      option("--keep-going", "If the list of an organization fails, continue with the next one."),
      user_output.NO_VALIDATE,
    } },
  },
  asks = true,
  examples = {
    { "The staff of an organization", "podero users ORG_ID --role staff" },
    { "Those who have never logged in", "podero users ORG_ID --where last_login=" },
    { "All users, into a spreadsheet", "podero users ORG_ID -o users.csv --bom" },
    { "For another program", "podero users ORG_ID -f ndjson --columns id,email | jq -r .email" },
  },
}

--- Returns the ids without repetitions.
local function unique(ids)
  local seen, kept = {}, {}
  for _, id in ipairs(ids) do
    if not seen[id:lower()] then kept[#kept + 1] = id end
    seen[id:lower()] = true
  end
  return kept
end

function users.check(given)
  given.org_id = unique(given.org_id)
  if given.count then
    for _, name in ipairs { "format", "columns", "delimiter", "bom" } do
      if given[name] then failure.usage(("--count prints a number: it has no --%s"):format(name), given.label) end
    end
  end
  where.check(given)
  user_output.check(given)
end

--- Lists the organizations, one after the other: calls `add` for each user, at most --limit times. With --keep-going, a
-- list that fails is reported. Returns the exit code; raises if no list could be read.
local function list_all(api, given, opts, add, shown, report)
  local code, complete, left = 0, 0, given.limit
  for _, org_id in ipairs(given.org_id) do
    opts.limit = left
    local ok, raised = pcall(function()
      for user in api:each_user(org_id, opts) do
        add(user)
        left = left and left - 1
      end
    end)
    shown:next_list()
    if not ok and not (given.keep_going and podero.is_error(raised)) then error(raised, 0) end
    if ok then
      complete = complete + 1
    else
      shown:clear()
      report(raised, org_id)
      code = failure.first(failure.code(raised), code ~= 0 and code or nil)
      if raised.kind == "auth" then break end -- the credentials are the same for the others
    end
    if left == 0 then break end
  end
  if complete == 0 then failure.quiet(code) end
  return code
end

local function counter(sink)
  local count = 0
  return {
    add = function() count = count + 1 end,
    finish = function() sink:write(("%d\n"):format(count)) end,
  }
end

--- Returns the options of each_user.
local function list_options(given, shown)
  local fields = user_output.fields(given)
  if given.count then fields = { "id" } end
  return {
    include_deleted = given.include_deleted or false,
    role = #given.role > 0 and given.role or nil,
    search = given.search,
    where = where.option(given.where),
    fields = fields,
    on_progress = function(bytes, count) shown:show(bytes, count) end,
  }
end

function users.run(given, report)
  return client.use(given, given.output ~= nil, function(api, shown)
    local written = 0
    local code = output.use(given.output, function() shown:stop() end, function(sink)
      local format = given.count and counter(sink) or user_output.format(given, sink, #given.org_id > 1)
      local result = list_all(api, given, list_options(given, shown), function(user)
        format.add(user)
        written = written + 1
      end, shown, report)
      format.finish()
      return result
    end)
    shown:stop()
    if not given.count or given.output then shown:summary(written, given.output) end
    return code
  end)
end

return users
