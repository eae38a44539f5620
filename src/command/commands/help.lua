local commands = require "podero.command.commands"
local output = require "podero.command.output"
local pages = require "podero.command.help"

local help = {
  summary = "Print the help of a command.",
  arguments = { { name = "COMMAND", key = "topic", help = "The command; without it, all are listed.", optional = true,
    choices = commands.NAMES } },
}

function help.run(given)
  output.print(pages.text(given.topic, pages.columns()))
end

return help
