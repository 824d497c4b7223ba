# Made by scripts/completion.py; do not edit.

# The file that the words name after --config, or the default.
_ovsha_config() {
    local file=/etc/ovsha/ovsha.yaml take= word
    for word; do
        [ -z "$take" ] || file=$word
        take=
        case $word in
            --config) take=1 ;;
            --config=*) file=${word#--config=} ;;
        esac
    done
    printf '%s\n' "$file"
}

# The names of both switches.
_ovsha_nodes() {
    awk '/^[^ #]/ { inside = /^nodes:/; next }
        inside && match($0, /^ +/) {
            if (!indent) indent = RLENGTH
            if (RLENGTH == indent && $1 ~ /:/) { sub(/:.*/, "", $1); print $1 }
        }' "$(_ovsha_config "$@")" 2>/dev/null
}

# What the state directory keeps: $1 is ledgers or forensics.
_ovsha_kept() {
    local kind=$1 state each
    shift
    state=$(sed -n 's/^state_directory: *//p' "$(_ovsha_config "$@")" 2>/dev/null)
    for each in $(ls "${state:-/var/lib/ovsha}/$kind" 2>/dev/null); do
        case $kind/$each in
            ledgers/*.json) printf '%s\n' "${each%.json}" ;;
            ledgers/*) ;;
            *) printf '%s\n' "$each" ;;
        esac
    done
}

_ovsha() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} path= place=0 word skip= index
    local -a passed=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
    for word in "${passed[@]}"; do
        if [ -n "$skip" ]; then
            skip=
            continue
        fi
        case $word in
            --address|--at|--backup-address|--bundle|--config|--controller-ip|--controller-port|--controller_ip|--controller_port|--credentials-path|--credentials_path|--database-file|--db-ha|--db-ha-repl-sv|--db-ha-vip|--db_ha|--db_ha_repl_sv|--db_ha_vip|--fingerprint|--for|--from|--interface|--keep|--last|--name|--node|--output|--own-ip|--own_ip|--peer-address|--peer-backup-address|--peer-ip|--peer-name|--peer_ip|--peer_name|--pki-path|--pki_path|--preferred|--reason|--since|--target|--to|--vip|--vip-port|--wait) skip=1 ;;
            -*) ;;
            *)
                case "$path $word" in
                    " agent"|" backup"|" backup create"|" backup list"|" backup prune"|" backup restore"|" backup show"|" backup verify"|" cancel"|" check"|" collect"|" config"|" config check"|" counters"|" explain"|" failover"|" forensics"|" forensics clear"|" forensics list"|" forensics show"|" history"|" init"|" join"|" ledger"|" ledger dismiss"|" ledger list"|" ledger replay"|" ledger show"|" pause"|" peer"|" peer forget"|" peer show"|" preflight"|" resolve"|" restore-primary"|" resume"|" simulate"|" status"|" switchover"|" sync-status"|" upgrade"|" upgrade finish"|" upgrade prepare"|" upgrade status"|" verify"|" vtep-bootstrap") path="$path $word" ;;
                    *) place=$((place + 1)) ;;
                esac
                ;;
        esac
    done
    COMPREPLY=()
    case "$path $before" in
        *" --address") :; return ;;
        *" --at") :; return ;;
        *" --backup-address") :; return ;;
        *" --bundle") mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        *" --config") mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        *" --controller_ip") :; return ;;
        *" --controller_port") :; return ;;
        *" --credentials-path") :; return ;;
        *" --database-file") mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        *" --db_ha") mapfile -t COMPREPLY < <(compgen -W "active standby" -- "$current"); return ;;
        *" --db_ha_repl_sv") :; return ;;
        *" --db_ha_vip") :; return ;;
        *" --fingerprint") :; return ;;
        *" --for") :; return ;;
        *" --from") :; return ;;
        *" --interface") :; return ;;
        " backup prune --keep") :; return ;;
        " resolve --keep") mapfile -t COMPREPLY < <(compgen -W "self peer" -- "$current"); return ;;
        *" --last") :; return ;;
        *" --name") :; return ;;
        *" --node") :; return ;;
        *" --output") mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        *" --own-ip") :; return ;;
        *" --peer-address") :; return ;;
        *" --peer-backup-address") :; return ;;
        *" --peer-ip") :; return ;;
        *" --peer-name") :; return ;;
        *" --pki-path") :; return ;;
        *" --preferred") mapfile -t COMPREPLY < <(compgen -W "$(_ovsha_nodes "${passed[@]}")" -- "$current"); return ;;
        *" --reason") :; return ;;
        *" --since") :; return ;;
        *" --target") mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        *" --to") mapfile -t COMPREPLY < <(compgen -W "$(_ovsha_nodes "${passed[@]}")" -- "$current"); return ;;
        *" --vip") :; return ;;
        *" --vip-port") :; return ;;
        *" --wait") :; return ;;
        *" --watch") :; return ;;
    esac
    case $current in
        -*)
            case $path in
                "") mapfile -t COMPREPLY < <(compgen -W "--config --help --target --version" -- "$current") ;;
                " agent") mapfile -t COMPREPLY < <(compgen -W "--config --help" -- "$current") ;;
                " backup") mapfile -t COMPREPLY < <(compgen -W "--help" -- "$current") ;;
                " backup create") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target" -- "$current") ;;
                " backup list") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target" -- "$current") ;;
                " backup prune") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --keep --target --yes" -- "$current") ;;
                " backup restore") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --offline --online --target --yes" -- "$current") ;;
                " backup show") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target" -- "$current") ;;
                " backup verify") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target" -- "$current") ;;
                " cancel") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target --yes" -- "$current") ;;
                " check") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target" -- "$current") ;;
                " collect") mapfile -t COMPREPLY < <(compgen -W "--config --database --help --no-peer --output" -- "$current") ;;
                " config") mapfile -t COMPREPLY < <(compgen -W "--help" -- "$current") ;;
                " config check") mapfile -t COMPREPLY < <(compgen -W "--config --help" -- "$current") ;;
                " counters") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target" -- "$current") ;;
                " explain") mapfile -t COMPREPLY < <(compgen -W "--at --config --help --json" -- "$current") ;;
                " failover") mapfile -t COMPREPLY < <(compgen -W "--accept-data-loss --config --force --help --json --reason --target --yes" -- "$current") ;;
                " forensics") mapfile -t COMPREPLY < <(compgen -W "--help" -- "$current") ;;
                " forensics clear") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer --yes" -- "$current") ;;
                " forensics list") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer" -- "$current") ;;
                " forensics show") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer" -- "$current") ;;
                " history") mapfile -t COMPREPLY < <(compgen -W "--all --config --help --json --last --peer --since" -- "$current") ;;
                " init") mapfile -t COMPREPLY < <(compgen -W "--address --backup-address --bundle --config --database-file --dry-run --help --interface --json --name --node --peer-address --peer-backup-address --peer-name --preferred --print-bundle --vip --vip-port --yes" -- "$current") ;;
                " join") mapfile -t COMPREPLY < <(compgen -W "--config --database-file --discard-local --dry-run --fingerprint --help --json --remove-bundle --replace --wait --yes" -- "$current") ;;
                " ledger") mapfile -t COMPREPLY < <(compgen -W "--help" -- "$current") ;;
                " ledger dismiss") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --reason --target --yes" -- "$current") ;;
                " ledger list") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer --target" -- "$current") ;;
                " ledger replay") mapfile -t COMPREPLY < <(compgen -W "--again --config --deletions --dry-run --help --json --target --yes" -- "$current") ;;
                " ledger show") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer --target" -- "$current") ;;
                " pause") mapfile -t COMPREPLY < <(compgen -W "--config --for --help --json --reason --target --yes" -- "$current") ;;
                " peer") mapfile -t COMPREPLY < <(compgen -W "--help" -- "$current") ;;
                " peer forget") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target --yes" -- "$current") ;;
                " peer show") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target" -- "$current") ;;
                " preflight") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer --quick --target" -- "$current") ;;
                " resolve") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --keep --reason --target --yes" -- "$current") ;;
                " restore-primary") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --reason --target --yes" -- "$current") ;;
                " resume") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --target --yes" -- "$current") ;;
                " simulate") mapfile -t COMPREPLY < <(compgen -W "--config --help --json" -- "$current") ;;
                " status") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer --target --watch" -- "$current") ;;
                " switchover") mapfile -t COMPREPLY < <(compgen -W "--at --config --help --json --reason --target --to --yes" -- "$current") ;;
                " sync-status") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --peer --target" -- "$current") ;;
                " upgrade") mapfile -t COMPREPLY < <(compgen -W "--help" -- "$current") ;;
                " upgrade finish") mapfile -t COMPREPLY < <(compgen -W "--config --from --help --json --peer-lost --reason --restore-database --target --wait --yes" -- "$current") ;;
                " upgrade prepare") mapfile -t COMPREPLY < <(compgen -W "--config --help --json --reason --target --yes" -- "$current") ;;
                " upgrade status") mapfile -t COMPREPLY < <(compgen -W "--config --diff --help --json --target" -- "$current") ;;
                " verify") mapfile -t COMPREPLY < <(compgen -W "--all --config --help --json --target" -- "$current") ;;
                " vtep-bootstrap") mapfile -t COMPREPLY < <(compgen -W "--config --controller-ip --controller-port --controller_ip --controller_port --credentials-path --credentials_path --db-ha --db-ha-repl-sv --db-ha-vip --db_ha --db_ha_repl_sv --db_ha_vip --dry-run --help --interface --no-encryption --no_encryption --node --own-ip --own_ip --peer-ip --peer-name --peer_ip --peer_name --pki-path --pki_path --yes" -- "$current") ;;
            esac
            return
            ;;
    esac
    case "$path $place" in
        " 0") mapfile -t COMPREPLY < <(compgen -W "agent backup cancel check collect config counters explain failover forensics history init join ledger pause peer preflight resolve restore-primary resume simulate status switchover sync-status upgrade verify vtep-bootstrap" -- "$current") ;;
        " backup 0") mapfile -t COMPREPLY < <(compgen -W "create list prune restore show verify" -- "$current") ;;
        " backup restore 0") mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        " backup show 0") mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        " backup verify 0") mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        " check "*) mapfile -t COMPREPLY < <(compgen -W "mlag server replication controller vip peer certs bfd disk all" -- "$current") ;;
        " config 0") mapfile -t COMPREPLY < <(compgen -W "check" -- "$current") ;;
        " config check 0") mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        " forensics 0") mapfile -t COMPREPLY < <(compgen -W "clear list show" -- "$current") ;;
        " forensics clear 0") mapfile -t COMPREPLY < <(compgen -W "$(_ovsha_kept forensics "${passed[@]}")" -- "$current") ;;
        " forensics show 0") mapfile -t COMPREPLY < <(compgen -W "$(_ovsha_kept forensics "${passed[@]}")" -- "$current") ;;
        " join 0") : ;;
        " ledger 0") mapfile -t COMPREPLY < <(compgen -W "dismiss list replay show" -- "$current") ;;
        " ledger dismiss 0") mapfile -t COMPREPLY < <(compgen -W "$(_ovsha_kept ledgers "${passed[@]}")" -- "$current") ;;
        " ledger replay 0") mapfile -t COMPREPLY < <(compgen -W "$(_ovsha_kept ledgers "${passed[@]}")" -- "$current") ;;
        " ledger replay "*) : ;;
        " ledger show 0") mapfile -t COMPREPLY < <(compgen -W "$(_ovsha_kept ledgers "${passed[@]}")" -- "$current") ;;
        " peer 0") mapfile -t COMPREPLY < <(compgen -W "forget show" -- "$current") ;;
        " simulate 0") mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        " upgrade 0") mapfile -t COMPREPLY < <(compgen -W "finish prepare status" -- "$current") ;;
        " vtep-bootstrap 0") : ;;
        " vtep-bootstrap 1") : ;;
        " vtep-bootstrap 2") : ;;
    esac
}

complete -F _ovsha ovsha
