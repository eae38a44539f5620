--- Declares an option of the command.
--
--     option("-o --output FILE", "Write to this file.", { many = true })
--
-- The text has the short name, if there is one, the long name and what the value is called, without which the option
-- is a flag. Values that are called FILE or FOLDER are completed as such. Further fields:
--   many       may be repeated: its value is an array of all that were given
--   choices    an array of the values that are possible
--   convert    function(value): returns what is to be used; or nil and what was expected, such as "a whole number"; or
--              nil, nil and what is wrong
--   empty      the value may be ""
--   default    the value if the option is not given
--
-- Returns the fields, and `long`, `short`, `value`, `help`, and `name`: the key of its value, such as "client_id".
local function option(declaration, help, fields)
  local made = { help = help }
  for name, value in pairs(fields or {}) do made[name] = value end
  for word in declaration:gmatch("%S+") do
    local kind = word:find("^%-%-") and "long" or word:find("^%-") and "short" or "value"
    made[kind] = word
  end
  made.name = made.long:sub(3):gsub("-", "_")
  return made
end

return option
