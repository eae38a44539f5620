--- Makes completion scripts for bash, zsh and fish from the declarations in commands.lua and options.lua. They complete
-- names of files only for options whose values are files.

local FIELDS = require "podero.command.columns"
local commands = require "podero.command.commands"
local options = require "podero.command.options"

local completions = {}

local HEADER = "# Completes the words of podero, in %s. Made by `podero completion %s`.\n"

--- Returns what the value of an option or argument can be: an array of words; or nil and "files", "folders", "fields"
-- (FIELD=VALUE), "columns" (names of fields, separated by commas) or "any".
local function values_of(one)
  if one.choices or one.words then return one.choices or one.words end
  if one.value == "FILE" then return nil, "files" end
  if one.value == "FOLDER" then return nil, "folders" end
  if one.value == "NAME,..." then return nil, "columns" end
  return nil, (one.value or one.name) == "FIELD=VALUE" and "fields" or "any"
end

--- Returns { option, names of its commands } for each option.
local function all_options()
  local list, at = {}, {}
  for _, name in ipairs(commands.NAMES) do
    for _, one in ipairs(options.of(commands.find(name))) do
      local key = one.long .. " " .. one.help
      if not at[key] then
        list[#list + 1] = { one, {} }
        at[key] = list[#list]
      end
      table.insert(at[key][2], name)
    end
  end
  return list
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function assignments()
  return table.concat(FIELDS, "= ") .. "="
end

-- bash ----------------------------------------------------------------------------------------------------------------

local BASH = [==[
_podero()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command= arguments=0 kind words i word
    COMPREPLY=()
    # bash takes "--format=csv" apart: "--format", "=" and "csv".
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = && $COMP_CWORD -gt 2 ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -* ]]; then
            if _podero_value "$word"; then
                [[ ${COMP_WORDS[i + 1]} == = ]] && i=$((i + 1))
                i=$((i + 1))
            fi
        elif [[ -z $command ]]; then
            command=$word
        else
            arguments=$((arguments + 1))
        fi
    done
    if [[ $previous == -* ]] && _podero_value "$previous"; then
        _podero_complete "$kind" "$words"
    elif [[ $current == -* ]]; then
        _podero_options "$command"
        _podero_complete words "$words"
    elif [[ -z $command ]]; then
        _podero_complete words "@COMMANDS@"
    else
        _podero_argument "$command" "$arguments"
        _podero_complete "$kind" "$words"
    fi
}

# _podero_complete KIND WORDS: sets COMPREPLY.
_podero_complete()
{
    local IFS=$' \t\n'
    case $1 in
    words) COMPREPLY=($(compgen -W "$2" -- "$current")) ;;
    fields)
        [[ $current == *=* ]] || COMPREPLY=($(compgen -W "@FIELDS@" -- "$current"))
        compopt -o nospace 2>/dev/null
        ;;
    columns)
        local before=
        [[ $current == *,* ]] && before=${current%,*},
        COMPREPLY=($(compgen -P "$before" -W "@NAMES@" -- "${current##*,}"))
        compopt -o nospace 2>/dev/null
        ;;
    files) IFS=$'\n'; compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$current")) ;;
    folders) IFS=$'\n'; compopt -o dirnames 2>/dev/null || COMPREPLY=($(compgen -d -- "$current")) ;;
    esac
}

# The functions below set `kind` to words, fields, columns, files, folders or any, and `words`.

# _podero_value OPTION: returns whether the option has a value.
_podero_value()
{
    kind=any words=
    case $1 in
@VALUES@
    *) return 1 ;;
    esac
}

# _podero_argument COMMAND N: what argument N of the command, counted from 0, can be.
_podero_argument()
{
    kind=any words=
    case $1:$2 in
@ARGUMENTS@
    esac
}

# _podero_options COMMAND
_podero_options()
{
    case $1 in
@OPTIONS@
    *) words="@GENERAL@" ;;
    esac
}

complete -F _podero podero
]==]

local function bash_kind(one)
  local values, kind = values_of(one)
  return values and ("kind=words words=%s"):format(quoted(table.concat(values, " "))) or "kind=" .. kind
end

local function bash_values()
  local patterns, order = {}, {}
  for _, entry in ipairs(all_options()) do
    local one = entry[1]
    if one.value then
      local kind = bash_kind(one)
      if not patterns[kind] then
        patterns[kind] = {}
        order[#order + 1] = kind
      end
      table.insert(patterns[kind], one.long)
      if one.short then table.insert(patterns[kind], one.short) end
    end
  end
  local lines = {}
  for _, kind in ipairs(order) do
    lines[#lines + 1] = ("    %s) %s ;;"):format(table.concat(patterns[kind], " | "), kind)
  end
  return table.concat(lines, "\n")
end

local function bash_arguments()
  local lines = {}
  for _, name in ipairs(commands.NAMES) do
    for i, one in ipairs(commands.find(name).arguments or {}) do
      local kind = bash_kind(one)
      if kind ~= "kind=any" then
        lines[#lines + 1] = ("    %s:%s) %s ;;"):format(name, one.many and (i == 1 and "*" or "[1-9]*") or i - 1, kind)
      end
    end
  end
  return table.concat(lines, "\n")
end

local function names_of(list)
  local names = {}
  for _, one in ipairs(list) do names[#names + 1] = one.long end
  return table.concat(names, " ")
end

local function bash_options()
  local lines = {}
  for _, name in ipairs(commands.NAMES) do
    lines[#lines + 1] = ("    %s) words=\"%s\" ;;"):format(name, names_of(options.of(commands.find(name))))
  end
  return table.concat(lines, "\n")
end

function completions.bash()
  local parts = {
    COMMANDS = table.concat(commands.NAMES, " "), FIELDS = assignments(),
    NAMES = table.concat(FIELDS, " "), VALUES = bash_values(),
    ARGUMENTS = bash_arguments(), OPTIONS = bash_options(), GENERAL = names_of(options.GENERAL),
  }
  return HEADER:format("bash", "bash") .. BASH:gsub("@(%u+)@", parts)
end

-- zsh -----------------------------------------------------------------------------------------------------------------

local ZSH = [==[
_podero() {
  local context state state_descr line
  local -A opt_args
  _arguments -C '(- *)'{-h,--help}'[Print help.]' '(- *)--version[Print the version.]' \
    '1:command:->command' '*::argument:->argument'
  case $state in
  command)
    local -a commands=(
@COMMANDS@
    )
    _describe command commands
    ;;
  argument)
    case $words[1] in
@OPTIONS@
    esac
    ;;
  esac
}

_podero_fields() {
  local -a fields=(@FIELDS@)
  compset -P '*=' || compadd -S = -a fields
}

_podero_columns() {
  local -a fields=(@FIELDS@)
  compset -P '*,'
  compadd -qS , -a fields
}

_podero "$@"
]==]

--- Escapes the characters that are special in descriptions of _arguments.
local function zsh_text(text)
  return (text:gsub("[%[%]:\\]", "\\%0"))
end

local function zsh_action(one)
  local values, kind = values_of(one)
  if values then return "(" .. table.concat(values, " ") .. ")" end
  return ({ files = "_files", folders = "_files -/", fields = "_podero_fields",
    columns = "_podero_columns", any = "()" })[kind]
end

local function zsh_option(one)
  local help = "[" .. zsh_text(one.help) .. "]"
  local value = one.value and (":%s:%s"):format(zsh_text(one.value), zsh_action(one)) or ""
  local long = one.long .. (one.value and "=" or "")
  if one.many then return quoted("*" .. long .. help .. value) end
  if not one.short then return quoted(long .. help .. value) end
  local short = one.short .. (one.value and "+" or "")
  return ("'(%s %s)'{%s,%s}%s"):format(one.short, one.long, short, long, quoted(help .. value))
end

local function zsh_command(name)
  local command = commands.find(name)
  local words = {}
  for _, one in ipairs(options.of(command)) do words[#words + 1] = zsh_option(one) end
  for i, one in ipairs(command.arguments or {}) do
    words[#words + 1] = quoted(("%s:%s:%s"):format(one.many and "*" or i, zsh_text(one.name), zsh_action(one)))
  end
  return ("    %s)\n      _arguments \\\n        %s\n      ;;"):format(name, table.concat(words, " \\\n        "))
end

function completions.zsh()
  local names, bodies = {}, {}
  for i, name in ipairs(commands.NAMES) do
    names[i] = "      " .. quoted(name .. ":" .. commands.find(name).summary)
    bodies[i] = zsh_command(name)
  end
  local parts = {
    COMMANDS = table.concat(names, "\n"), OPTIONS = table.concat(bodies, "\n"), FIELDS = table.concat(FIELDS, " "),
  }
  return "#compdef podero\n" .. HEADER:format("zsh", "zsh") .. ZSH:gsub("@(%u+)@", parts)
end

-- fish ----------------------------------------------------------------------------------------------------------------

local function fish_action(one)
  local values, kind = values_of(one)
  if values then return " -x -a " .. quoted(table.concat(values, " ")) end
  return ({ files = " -r -F", folders = " -x -a '(__fish_complete_directories)'", fields = " -x -a "
    .. quoted(assignments()), columns = " -x -a '(__fish_complete_list , __podero_fields)'", any = " -x" })[kind]
end

function completions.fish()
  local lines = {
    "function __podero_fields",
    "    string split ' ' -- " .. quoted(table.concat(FIELDS, " ")),
    "end",
    "complete -c podero -f",
  }
  for _, name in ipairs(commands.NAMES) do
    lines[#lines + 1] = ("complete -c podero -n __fish_use_subcommand -a %s -d %s"):format(name,
      quoted(commands.find(name).summary))
  end
  for _, name in ipairs(commands.NAMES) do
    for _, one in ipairs(commands.find(name).arguments or {}) do
      local values, kind = values_of(one)
      if values or kind == "fields" then
        lines[#lines + 1] = ("complete -c podero -n '__fish_seen_subcommand_from %s' -a %s"):format(name,
          quoted(values and table.concat(values, " ") or assignments()))
      end
    end
  end
  for _, entry in ipairs(all_options()) do
    local one, names = entry[1], entry[2]
    local seen = ""
    if #names < #commands.NAMES then
      seen = (" -n '__fish_seen_subcommand_from %s'"):format(table.concat(names, " "))
    end
    lines[#lines + 1] = ("complete -c podero%s -l %s%s%s -d %s"):format(seen, one.long:sub(3),
      one.short and " -s " .. one.short:sub(2) or "", one.value and fish_action(one) or "", quoted(one.help))
  end
  return HEADER:format("fish", "fish") .. table.concat(lines, "\n") .. "\n"
end

return completions
