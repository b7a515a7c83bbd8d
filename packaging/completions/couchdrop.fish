# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_couchdrop_global_optspecs
    string join \n h/help V/version
end

function __fish_couchdrop_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_couchdrop_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_couchdrop_using_subcommand
    set -l cmd (__fish_couchdrop_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c couchdrop -n "__fish_couchdrop_needs_command" -s h -l help -d 'Print help'
complete -c couchdrop -n "__fish_couchdrop_needs_command" -s V -l version -d 'Print version'
complete -c couchdrop -n "__fish_couchdrop_needs_command" -f -a "login" -d 'Log in and print the token'
complete -c couchdrop -n "__fish_couchdrop_needs_command" -f -a "check" -d 'Check if this machine can reach the service'
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l username -d 'The user name; without it, COUCHDROP_USERNAME' -r
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l password-file -d 'Read the password from a file; one line end is removed' -r -F
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l system -d 'The name of the program or system that logs in' -r
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l timeout -d 'The limit for the whole login, retries included: 0.001 to 3600 seconds [default: 30]' -r
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l base-url -d 'The URL of the service [default: https://api.couchdrop.io]' -r -f
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l ca-file -d 'A file of certificates (PEM) to trust in place of the system\'s' -r -F
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l proxy -d 'The proxy: [http://|socks5://|socks5h://]HOST[:PORT]; \'\' = none [default: the environment\'s]' -r -f
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l password-stdin -d 'Read the password from standard input; one line end is removed'
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l header -d 'Print the token as the line `token: TOKEN`, for `curl -H @-`'
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -l json -d 'Print JSON: {"token"}, or {"code","name","message","retry_after"} on standard error'
complete -c couchdrop -n "__fish_couchdrop_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c couchdrop -n "__fish_couchdrop_using_subcommand check" -l timeout -d 'The limit for all phases together: 0.001 to 3600 seconds [default: 10]' -r
complete -c couchdrop -n "__fish_couchdrop_using_subcommand check" -l base-url -d 'The URL of the service [default: https://api.couchdrop.io]' -r -f
complete -c couchdrop -n "__fish_couchdrop_using_subcommand check" -l ca-file -d 'A file of certificates (PEM) to trust in place of the system\'s' -r -F
complete -c couchdrop -n "__fish_couchdrop_using_subcommand check" -l proxy -d 'The proxy: [http://|socks5://|socks5h://]HOST[:PORT]; \'\' = none [default: the environment\'s]' -r -f
complete -c couchdrop -n "__fish_couchdrop_using_subcommand check" -l json -d 'Print JSON: {"phases":[{"name","ms","error"}]}; an error has the members of `couchdrop login --json`'
complete -c couchdrop -n "__fish_couchdrop_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
