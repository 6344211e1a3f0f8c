#compdef kugetsu
# kugetsu's completion for zsh: kugetsu completion zsh
# One call of kugetsu answers: its first line says what is wanted, the others are words, each with what it is.
_kugetsu() {
    local -a answer values shown
    local line value about
    local -i width=0
    answer=("${(@f)$(command kugetsu __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    case $answer[1] in
        (files|folders)
            [[ $PREFIX == --*=* ]] && compset -P 1 '*='
            if [[ $answer[1] == folders ]]; then _files -/; else _files; fi
            return ;;
    esac
    answer=("${(@)answer[2,-1]}")
    for line in "${(@)answer}"; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || continue
        values+=("$value")
        (( ${#value} > width )) && width=${#value}
    done
    for line in "${(@)answer}"; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || continue
        about=${line#*$'\t'}
        [[ -n $about ]] && about="  $about"
        shown+=("${(r:width:)value}$about")
    done
    (( $#values )) || return 1
    compadd -V kugetsu -l -d shown -a -- values
}
if [[ $funcstack[1] == _kugetsu ]]; then
    _kugetsu "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i -D }
    compdef _kugetsu kugetsu
fi
