# Completion of syncd(8) for fish 3.4 or later. The program itself is asked at each TAB, so that what is
# offered is what it can do; job names come from its configuration.

function __syncd_complete
    set -l program (commandline -opc)[1]
    set -l token (commandline -ct)
    # Of --option=value the program tells the value alone.
    set -l option (string match -r -- '^--[^=]*=' "$token")
    for line in (env _SYNCD_COMPLETE=fish_complete COMP_WORDS="$(commandline -cp)" \
            COMP_CWORD="$token" $program 2>/dev/null)
        set -l part (string split -m 1 , -- $line)
        switch $part[1]
            case plain
                printf '%s\n' "$option$part[2]"
            case file
                __fish_complete_path (string replace -- "$option" '' "$token") | string replace -r '^' -- "$option"
            case dir
                __fish_complete_directories (string replace -- "$option" '' "$token") | string replace -r '^' -- "$option"
        end
    end
end

complete --command syncd --no-files --keep-order --arguments '(__syncd_complete)'
