--- Declares an option of the command.
--
--     option("-o --output FILE", "Write to this file.", { many = true })
--
-- The text holds the short name, if there is one, the long name, and the name of the value. An option without a value
-- is a flag. Shells complete values with the names FILE and FOLDER as such. Further fields:
--   many       the option may be repeated: its value is an array
--   choices    an array of the possible values
--   words      an array of values that shells complete, if there are more than these
--   convert    function(value): returns the value to use; or nil and what is expected, such as "a whole number"; or
--              nil, nil and what is wrong
--   empty      whether the value may be ""
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
