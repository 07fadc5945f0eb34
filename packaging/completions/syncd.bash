# Completion of syncd(8) for bash 4.4 or later. The program itself is asked at each TAB, so that what
# is offered is what it can do; job names come from its configuration.

_syncd() {
    local word glued='' type value words=()
    # Bash parts --option=value and 12:30 into words of their own; the program wants them whole.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if [[ ${#words[@]} -gt 1 && ( -n $glued || $word =~ ^[=:]+$ ) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        [[ $word =~ ^[=:]+$ ]] && glued=1 || glued=''
    done

    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done < <(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        _SYNCD_COMPLETE=bash_complete "$1" 2> /dev/null)
}

complete -o nosort -F _syncd syncd
