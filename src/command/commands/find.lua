local FIELDS = require "podero.command.columns"
local client = require "podero.command.client"
local commands = require "podero.command.commands"
local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local option = require "podero.command.option"
local output = require "podero.command.output"
local user_output = require "podero.command.user_output"
local words = require "podero.command.words"
local where = require "podero.command.where"

local find = {
  summary = "Find one user of an organization.",
  arguments = {
    { name = "ORG_ID", key = "org_id", help = "The organization.", convert = convert.organization },
    { name = "FIELD=VALUE", key = "where", many = true, convert = where.read,
      help = "What the user must have: all fields must match, and a field given twice matches either value. FIELD= "
        .. "matches users without a value." },
  },
  options = {
    { "Which user", {
      option("--include-deleted", "Also users that are deleted."),
    } },
    { "Output", user_output.OPTIONS },
    { nil, { user_output.NO_VALIDATE } },
  },
  asks = true,
  examples = {
    { "By e-mail", "podero find ORG_ID email=anna@example.com" },
    { "By customer number, for another program", "podero find ORG_ID external_user_id=4711 -f json | jq -r .id" },
  },
  notes = "The transfer ends as soon as the user is found. If there is none, the exit code is 5. The fields are "
    .. table.concat(FIELDS, ", ") .. ".",
}

--- The id may be any of the arguments: it is the one that is a UUID.
function find.collect(given, values)
  local id, conditions = nil, {}
  for _, value in ipairs(values) do
    local is_id = convert.organization(value) ~= nil
    if is_id and id then
      failure.usage(("unexpected argument %s: there is one organization"):format(words.quoted(value)), given.label)
    elseif is_id or not (id or value:find("=", 1, true)) then
      id = value
    else
      conditions[#conditions + 1] = value
    end
  end
  if not id then
    failure.usage(("ORG_ID is missing: %s"):format(commands.usage "find"), given.label)
  end
  table.insert(conditions, 1, id)
  return conditions
end

function find.check(given)
  where.check(given)
  user_output.check(given)
end

--- Returns the user, or raises the error.
local function get(api, given, shown)
  local user, err = api:find_user(given.org_id, where.option(given.where), {
    include_deleted = given.include_deleted or false,
    fields = user_output.fields(given),
    on_progress = function(bytes, count) shown:show(bytes, count) end,
  })
  return user or error(err, 0)
end

function find.run(given)
  client.use(given, given.output ~= nil, function(api, shown)
    output.use(given.output, function() shown:stop() end, function(sink)
      local user = get(api, given, shown)
      if given.format == "json" then given.format = "ndjson" end -- one object, and no array
      local format = user_output.format(given, sink, false)
      format.add(user)
      format.finish()
    end)
  end)
end

return find
