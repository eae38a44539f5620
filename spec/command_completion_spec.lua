-- The completion scripts, run in the shells.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local versions = require "spec.support.versions"

local SCRIPTS = {
  bash = "packaging/completions/podero.bash", zsh = "packaging/completions/_podero",
  fish = "packaging/completions/podero.fish",
}

describe("completion", function()
  local folder, root

  command.set_up(nil, function(made)
    folder = made
    root = helper.shell("pwd"):gsub("%s+$", "")
    helper.shell(("mkdir %s/files && cd %s/files && mkdir a-folder && touch 'a file.csv' admin"):format(folder, folder))
  end)

  local function has(shell)
    return select(2, helper.shell("command -v " .. shell)) == 0
  end

  for shell, script in pairs(SCRIPTS) do
    it("for " .. shell .. " prints the script that make install installs", function()
      local code, output = command.run("completion " .. shell)
      assert.equal(0, code)
      assert.equal(output, helper.read(script)) -- if not: make completions
    end)
  end

  --- By shell, a function that returns the completions of the last word of a line, sorted, one a line.
  local offers = {}

  --- bash splits words at blanks and at "=".
  function offers.bash(line)
    local words = {}
    for word in line:gsub("=", " = "):gmatch("%S+") do words[#words + 1] = helper.quoted(word) end
    if line:find(" $") then words[#words + 1] = "''" end
    local program = ("source %s/%s; cd %s/files; COMP_WORDS=(%s); COMP_CWORD=%d; _podero; "
      .. "printf '%%s\\n' \"${COMPREPLY[@]}\""):format(root, SCRIPTS.bash, folder, table.concat(words, " "), #words - 1)
    return (helper.shell("bash --norc -c " .. helper.quoted(program) .. " | sort"))
  end

  function offers.fish(line)
    local program = ("source %s/%s; cd %s/files; complete -C %s"):format(root, SCRIPTS.fish, folder,
      helper.quoted(line))
    local all = helper.shell("HOME=" .. folder .. " fish --no-config -c " .. helper.quoted(program)
      .. " | sed 's/\\t.*//' | sort")
    if not versions.fish_offers_what_contains then return all end
    local typed, list = line:match "%S*$", ""
    for text in all:gmatch "[^\n]+" do
      if text:sub(1, #typed) == typed then list = list .. text .. "\n" end
    end
    return list
  end

  local EXPECTED = {
    ["podero us"] = "users\n",
    ["podero users --f"] = "--format\n",
    ["podero users --format "] = "csv\njson\nndjson\ntable\n",
    ["podero users --sandbox --format=nd"] = { bash = "ndjson\n", fish = "--format=ndjson\n" },
    ["podero users -f c"] = "csv\n",
    ["podero users --role a"] = "admin\n",
    ["podero users --output a"] = "a file.csv\na-folder\nadmin\n",
    ["podero users -v -o ad"] = "admin\n",
    ["podero users --ca-path a"] = "a-folder\n",
    ["podero users --timeout a"] = "\n",
    ["podero users a"] = "\n",
    ["podero token --sh"] = "--show\n",
    ["podero token --lim"] = "\n",
    ["podero --format csv us"] = { bash = "users\n" },
    ["podero users --where exter"] = "external_user_id=\n",
    ["podero find x first_n"] = "first_name=\n",
    ["podero completion "] = "bash\nfish\nzsh\n",
    ["podero help tok"] = "token\n",
    ["podero users --columns emai"] = "email\n",
    ["podero users --columns id,num_h"] = "id,num_heat_pumps\n",
    ["podero request PU"] = "PUT\n",
  }

  for shell, offered in pairs(offers) do
    it("in " .. shell .. " offers commands, options, values, and files where they are expected", function()
      if not has(shell) then return pending(shell .. " is not installed") end
      for line, expected in pairs(EXPECTED) do
        if type(expected) == "table" then expected = expected[shell] end
        local got = offered(line):gsub("/", "")
        if expected then assert.equal(expected, got == "" and "\n" or got, line) end
      end
    end)
  end

  --- Types a line and a tab into a shell, and waits until it shows the text.
  local function types(start, line, expected)
    local text = command.on_pty(("cd %s/files && HOME=%s %s"):format(folder, folder, start), 100, {
      { "READY> ", line .. "\\t" }, { expected, "\\x15exit\\n" },
    })
    assert.truthy(text:find(expected, 1, true), text)
  end

  it("in bash completes words, and quotes file names", function()
    helper.shell(("echo \"PS1='READY> '; source %s/%s\" >%s/rc"):format(root, SCRIPTS.bash, folder))
    local bash = ("bash --noprofile --rcfile %s/rc -i"):format(folder)
    types(bash, "podero users --out", "--output ")
    types(bash, "podero users --output a\\\\ ", "a\\ file.csv ")
    types(bash, "podero users --output=adm", "=admin ")
    types(bash, "podero users --format=nd", "=ndjson ")
  end)

  it("in zsh completes words, and quotes file names", function()
    if not has "zsh" then return pending "zsh is not installed" end
    helper.shell(("echo \"PS1='READY> '; fpath=(%s/packaging/completions \\$fpath); autoload -Uz compinit; "
      .. "compinit -u -D; bindkey -e; zle_highlight=(none)\" >%s/.zshrc"):format(root, folder))
    local zsh = ("ZDOTDIR=%s zsh -d -i"):format(folder)
    types(zsh, "podero us", "podero users ")
    types(zsh, "podero users --out", "--output=")
    types(zsh, "podero users --output=adm", "=admin ")
    types(zsh, "podero users --output a\\\\ ", "a\\ file.csv ")
    types(zsh, "podero users --format nd", "ndjson ")
    types(zsh, "podero find x emai", "email=")
    types(zsh, "podero request PO", "podero request POST")
    types(zsh, "podero users --columns id,emai", "id,email")
  end)
end)
