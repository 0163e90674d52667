# SPDX-License-Identifier: Apache-2.0
# bash completion of dormouse: commands, options, their values, and the client ids the gateway knows.

_dormouse_client_ids() {
    dormouse "$@" --json sessions 2>/dev/null | grep -o '"client_id":"[A-Za-z0-9_.:-]*"' |
        cut -d '"' -f 4
}

# LEVELS as "info, packet=debug"; bash takes "=" for a word of its own.
_dormouse_levels() {
    local word=$1 before=$2 levels="error warning notice info debug" head
    local modules="access= app= config= control= discovery= engine= http= libevent= packet= pairing= queue=
        runner= serial= session= status= store= udp= uplink= upstream= will="

    if [[ $word == = || $before == = ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$levels" -- "${word#=}")
        return
    fi
    head=${word%"${word##*,}"}
    [[ -n $head ]] || levels+=" default"
    mapfile -t COMPREPLY < <(compgen -P "$head" -W "$levels $modules" -- "${word##*,}")
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
}

_dormouse() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local commands="status sessions show queue trace disconnect forget pair log reload ports check
        import pub sub search fleet"
    local globals="--socket --config --json --help" options="" words="" command="" i
    local -a gateway=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --socket | --config | -c)
                gateway=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
                ((i++))
                ;;
            -*) ;;
            *) [[ -z $command ]] && command=${COMP_WORDS[i]} ;;
        esac
    done
    COMPREPLY=()
    case $before in
        --socket | --config | -c | -f | --file | --serial)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --state) words="active asleep awake lost disconnected" ;;
        --sort) words="id state contact queue" ;;
        --framing) words="raw slip cobs-crc16 hdlc" ;;
        --network) words="udp udp6 dtls dtls6 xbee loralink" ;;
        --qos | -q) words="0 1 2" ;;
    esac
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        return
    fi
    case $command in
        "") words="$commands" options="--version" ;;
        sessions) options="--sort --state --filter --watch" ;;
        show | trace | disconnect | forget) words=$(_dormouse_client_ids "${gateway[@]}") ;;
        queue)
            options="--drop"
            [[ $word == -* ]] || words=$(_dormouse_client_ids "${gateway[@]}")
            ;;
        pair) [[ $before == pair ]] || words="on off" ;;
        log)
            if [[ $word != -* ]]; then
                _dormouse_levels "$word" "$before"
                return
            fi
            ;;
        ports) options="--list" ;;
        check)
            options="--client --example --json"
            globals="--help"
            if [[ $word != -* ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
                return
            fi
            ;;
        import)
            if [[ $before == paho ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
                return
            fi
            globals="--help" options="--network" words="paho"
            ;;
        pub | sub | search | fleet)
            globals=""
            options=$(dormouse "$command" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u)
            ;;
    esac
    [[ $word == -* ]] && words="$globals $options"
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _dormouse dormouse
