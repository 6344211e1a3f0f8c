# kugetsu's completion for fish: kugetsu completion fish
# One call of kugetsu answers: its first line says what is wanted, the others are words, each with what it is.
function __kugetsu_complete
    set -l words (commandline -xpc 2>/dev/null; or commandline -opc)
    set -l current (commandline -ct)
    set -l answer (command kugetsu __complete fish $words[2..-1] "$current" 2>/dev/null)
    set -l head (string match -r -- '^--[^=]*=' "$current")
    set -l path (string replace -r -- '^--[^=]*=' '' "$current")
    switch "$answer[1]"
        case files
            string replace -r -- '^' "$head" (__fish_complete_path "$path")
        case folders
            string replace -r -- '^' "$head" (__fish_complete_directories "$path")
        case '*'
            if set -q answer[2]
                printf '%s\n' $answer[2..-1]
            end
    end
end
complete -c kugetsu -f -k -a '(__kugetsu_complete)'
