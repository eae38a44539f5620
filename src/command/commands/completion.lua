local output = require "podero.command.output"

local SHELLS = { "bash", "zsh", "fish" }

local completion = {
  summary = "Print a script that completes the command's words in a shell.",
  arguments = { { name = "SHELL", key = "shell", help = "The shell.", choices = SHELLS } },
  examples = {
    { "In bash, now", "source <(podero completion bash)" },
    { "In zsh, in a folder of $fpath", "podero completion zsh >~/.zfunc/_podero" },
    { "In fish, always", "podero completion fish >~/.config/fish/completions/podero.fish" },
  },
  notes = "make install puts these scripts where the shells look for them.",
}

function completion.run(given)
  output.print(require("podero.command.completions")[given.shell]())
end

return completion
