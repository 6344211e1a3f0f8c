# kugetsu's completion for bash (3.2 and later): kugetsu completion bash
# One call of kugetsu answers: its first line says what is wanted, the others are the words, quoted as they go in.
_kugetsu() {
    local wanted='' word
    COMPREPLY=()
    {
        IFS= read -r wanted
        while IFS= read -r word; do COMPREPLY+=("$word"); done
    } < <(command kugetsu __complete bash "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    case $wanted in
        files) compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$2")) ;;
        folders) compopt -o dirnames 2>/dev/null || COMPREPLY=($(compgen -d -- "$2")) ;;
        *) compopt -o nosort 2>/dev/null ;;
    esac
    return 0
}
complete -F _kugetsu kugetsu
