# Completes the words of podero, in bash. Made by `podero completion bash`.
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
        _podero_complete words "users find token get request doctor mock completion help"
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
        [[ $current == *=* ]] || COMPREPLY=($(compgen -W "id= organization_id= external_user_id= role= email= first_name= last_name= is_onboarded= street_and_number= street_add_info= zip_code= town= country= latitude= longitude= last_login= num_inverters= num_heat_pumps= num_electric_vehicles= num_wallboxes= joined_at=" -- "$current"))
        compopt -o nospace 2>/dev/null
        ;;
    columns)
        local before=
        [[ $current == *,* ]] && before=${current%,*},
        COMPREPLY=($(compgen -P "$before" -W "id organization_id external_user_id role email first_name last_name is_onboarded street_and_number street_add_info zip_code town country latitude longitude last_login num_inverters num_heat_pumps num_electric_vehicles num_wallboxes joined_at" -- "${current##*,}"))
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
    --role) kind=words words='admin staff user guest' ;;
    --search | --limit | --delimiter | --timeout | --client-id | --username | --scope | --base-url | --token-url | --proxy | --connect-timeout | --max-retries | --max-response-bytes | --user-agent | --header | --query | --content-type | --port | --count) kind=any ;;
    --where) kind=fields ;;
    --format | -f) kind=words words='table csv json ndjson' ;;
    --output | -o | --token-cache | --client-secret-file | --password-file | --access-token-file | --ca-file | --cert | --key | --key-password-file | --data | --users | --deleted) kind=files ;;
    --columns) kind=columns ;;
    --color) kind=words words='auto always never' ;;
    --errors) kind=words words='text json' ;;
    --token-encoding) kind=words words='auto form json' ;;
    --client-auth) kind=words words='auto basic body' ;;
    --ca-path) kind=folders ;;
    --http-version) kind=words words='auto 1.1' ;;
    *) return 1 ;;
    esac
}

# _podero_argument COMMAND N: what argument N of the command, counted from 0, can be.
_podero_argument()
{
    kind=any words=
    case $1:$2 in
    find:[1-9]*) kind=fields ;;
    request:0) kind=words words='GET HEAD POST PUT PATCH DELETE' ;;
    completion:0) kind=words words='bash zsh fish' ;;
    help:0) kind=words words='users find token get request doctor mock completion help' ;;
    esac
}

# _podero_options COMMAND
_podero_options()
{
    case $1 in
    users) words="--role --search --where --limit --include-deleted --format --output --columns --wide --color --delimiter --bom --count --keep-going --no-validate --sandbox --token-cache --timeout --errors --verbose --quiet --client-id --client-secret-file --username --password-file --access-token-file --scope --base-url --token-url --token-encoding --client-auth --proxy --allow-http --ca-file --ca-path --cert --key --key-password-file --connect-timeout --max-retries --max-response-bytes --http-version --user-agent --header --help --version" ;;
    find) words="--include-deleted --format --output --columns --wide --color --delimiter --bom --no-validate --sandbox --token-cache --timeout --errors --verbose --quiet --client-id --client-secret-file --username --password-file --access-token-file --scope --base-url --token-url --token-encoding --client-auth --proxy --allow-http --ca-file --ca-path --cert --key --key-password-file --connect-timeout --max-retries --max-response-bytes --http-version --user-agent --header --help --version" ;;
    token) words="--show --sandbox --token-cache --timeout --errors --verbose --quiet --client-id --client-secret-file --username --password-file --access-token-file --scope --base-url --token-url --token-encoding --client-auth --proxy --allow-http --ca-file --ca-path --cert --key --key-password-file --connect-timeout --max-retries --max-response-bytes --http-version --user-agent --header --help --version" ;;
    get) words="--query --output --sandbox --token-cache --timeout --errors --verbose --quiet --client-id --client-secret-file --username --password-file --access-token-file --scope --base-url --token-url --token-encoding --client-auth --proxy --allow-http --ca-file --ca-path --cert --key --key-password-file --connect-timeout --max-retries --max-response-bytes --http-version --user-agent --header --help --version" ;;
    request) words="--data --content-type --query --output --sandbox --token-cache --timeout --errors --verbose --quiet --client-id --client-secret-file --username --password-file --access-token-file --scope --base-url --token-url --token-encoding --client-auth --proxy --allow-http --ca-file --ca-path --cert --key --key-password-file --connect-timeout --max-retries --max-response-bytes --http-version --user-agent --header --help --version" ;;
    doctor) words="--sandbox --token-cache --timeout --errors --verbose --quiet --client-id --client-secret-file --username --password-file --access-token-file --scope --base-url --token-url --token-encoding --client-auth --proxy --allow-http --ca-file --ca-path --cert --key --key-password-file --connect-timeout --max-retries --max-response-bytes --http-version --user-agent --header --help --version" ;;
    mock) words="--port --count --users --deleted --quiet --help --version" ;;
    completion) words="--help --version" ;;
    help) words="--help --version" ;;
    *) words="--help --version" ;;
    esac
}

complete -F _podero podero
