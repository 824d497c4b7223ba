"""Write the completions of bash and zsh from the command line as argparse holds it.

Run `python3 scripts/completion.py`, or `make completion`; tests/project/test_completion.py holds that
nothing would change.  Names of nodes are read from the configuration, those of ledgers and
forensic bundles from the state directory, by the shell: no Python is started for a TAB.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from tree import ROOT, Command, commands, takes_value, value

HEAD = "# Made by scripts/completion.py; do not edit.\n"

SHARED = r"""
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
"""

BASH = r"""
_ovsha() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} path= place=0 word skip= index
    local -a passed=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
    for word in "${passed[@]}"; do
        if [ -n "$skip" ]; then
            skip=
            continue
        fi
        case $word in
            @VALUED@) skip=1 ;;
            -*) ;;
            *)
                case "$path $word" in
                    @PATHS@) path="$path $word" ;;
                    *) place=$((place + 1)) ;;
                esac
                ;;
        esac
    done
    COMPREPLY=()
    case "$path $before" in
@VALUES@
    esac
    case $current in
        -*)
            case $path in
@OPTIONS@
            esac
            return
            ;;
    esac
    case "$path $place" in
@PLACES@
    esac
}

complete -F _ovsha ovsha
"""


def scripts() -> dict[str, str]:
    """Return every completion by its path in the repository."""
    found = commands()
    return {"etc/completion/ovsha.bash": _bash(found), "etc/completion/_ovsha": _zsh(found)}


def _bash(found: list[Command]) -> str:
    valued = sorted({name for each in found for argument in each.options for name in argument.option_strings
                     if takes_value(argument) and argument.nargs != "?"})  # fmt: skip
    text = BASH.replace("@VALUED@", "|".join(valued))
    text = text.replace("@PATHS@", "|".join(f'"{_path(each)}"' for each in found if each.path))
    text = text.replace("@VALUES@", "\n".join(_bash_values(found)))
    text = text.replace("@OPTIONS@", "\n".join(_bash_options(found)))
    return HEAD + SHARED + text.replace("@PLACES@", "\n".join(_bash_places(found)))


def _bash_values(found: list[Command]) -> Iterator[str]:
    """Yield what may follow an option: once where that is the same for every command that has it."""
    words: dict[str, dict[str, list[str]]] = {}
    for each in found:
        for argument in each.options:
            if takes_value(argument):
                name = argument.option_strings[0]
                words.setdefault(name, {}).setdefault(_bash_words(each, argument), []).append(_path(each))
    for name, kinds in sorted(words.items()):
        for act, paths in kinds.items():
            patterns = [f'*" {name}"'] if len(kinds) == 1 else [f'"{path} {name}"' for path in paths]
            yield f"        {'|'.join(patterns)}) {act}; return ;;"


def _bash_options(found: list[Command]) -> Iterator[str]:
    for each in found:
        names = sorted({name for argument in each.options for name in argument.option_strings} | {"--help"})
        yield f'                "{_path(each)}") {_listed(names)} ;;'


def _bash_places(found: list[Command]) -> Iterator[str]:
    """Yield what may stand where no option does."""
    for each in found:
        if each.actions:
            yield f'        "{_path(each)} 0") {_listed(each.actions)} ;;'
        for number, argument in enumerate(each.places):
            pattern = f'"{_path(each)} {number}"' if argument.nargs not in ("*", "+") else f'"{_path(each)} "*'
            yield f"        {pattern}) {_bash_words(each, argument)} ;;"


def _bash_words(command: Command, argument: argparse.Action) -> str:
    if argument.choices:
        return _listed(map(str, argument.choices))
    word = value(argument)
    if word in ("FILE", "SOCKET", "ARCHIVE", "TRACE", "PATH"):
        return _compgen("-f")
    source = _source(command, word, '"${passed[@]}"')
    return _compgen(f'-W "$({source})"') if source else ":"


def _source(command: Command, word: str, words: str) -> str:
    """Return the shell function that prints what `word` may be, "" when nobody knows."""
    if word == "NODE":
        return f"_ovsha_nodes {words}"
    if word == "ID":
        kind = {"ledger": "ledgers", "forensics": "forensics"}.get(command.path[0])
        return f"_ovsha_kept {kind} {words}" if kind else ""
    return ""


def _listed(words: Iterable[str]) -> str:
    return _compgen(f'-W "{" ".join(words)}"')


def _compgen(how: str) -> str:
    return f'mapfile -t COMPREPLY < <(compgen {how} -- "$current")'


def _path(command: Command) -> str:
    return "".join(f" {name}" for name in command.path)


def _zsh(found: list[Command]) -> str:
    functions = "\n".join("\n".join(_zsh_function(each, found)) for each in found)
    return f'#compdef ovsha\n{HEAD}{SHARED}\n{functions}\n\n_ovsha "$@"\n'


def _zsh_function(command: Command, found: list[Command]) -> Iterator[str]:
    yield f"{_zsh_name(command.path)}() {{"
    specs = [_zsh_option(command, each) for each in command.options] + ["'(- *)--help[show the help and exit]'"]
    if not command.actions:
        specs += [_zsh_place(command, each) for each in command.places]
        yield "    _arguments -s \\\n        " + " \\\n        ".join(specs)
    else:
        about = {each.path[-1]: each.about for each in found if each.path[:-1] == command.path and each.path}
        yield "    local context state line\n    typeset -A opt_args"
        if not command.path:
            yield '    local -a ovsha_words=("${words[@]}")'
        yield "    _arguments -C \\\n        " + " \\\n        ".join([*specs, "'1: :->command'", "'*:: :->rest'"])
        yield "    case $state in\n        command)\n            local -a names=("
        yield from (f"                {_quoted(f'{name}:{about[name]}')}" for name in command.actions)
        yield "            )\n            _describe -t commands command names\n            ;;\n        rest)"
        yield "            case $line[1] in"
        yield from (f"                {name}) {_zsh_name((*command.path, name))} ;;" for name in command.actions)
        yield "            esac\n            ;;\n    esac"
    yield "}\n"


def _zsh_option(command: Command, argument: argparse.Action) -> str:
    name, about = argument.option_strings[0], _bracket_free(argument.help or "")
    action = ""
    if takes_value(argument):
        action = f"{':' if argument.nargs != '?' else '::'}{value(argument).lower()}:{_zsh_words(command, argument)}"
    return _quoted(f"{name}[{about}]{action}")


def _zsh_place(command: Command, argument: argparse.Action) -> str:
    form = {"?": "::", "*": ":", "+": ":"}.get(str(argument.nargs), ":")
    lead = "*" if argument.nargs in ("*", "+") else ""
    return _quoted(f"{lead}{form}{value(argument).lower()}:{_zsh_words(command, argument)}")


def _zsh_words(command: Command, argument: argparse.Action) -> str:
    if argument.choices:
        return f"({' '.join(map(str, argument.choices))})"
    word = value(argument)
    if word in ("FILE", "SOCKET", "ARCHIVE", "TRACE", "PATH"):
        return "_files"
    source = _source(command, word, "$ovsha_words")
    return f'{{compadd -- ${{(f)"$({source})"}}}}' if source else " "


def _bracket_free(text: str) -> str:
    return text.replace("[", "(").replace("]", ")").replace(":", "\\:")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_name(path: tuple[str, ...]) -> str:
    return "__".join(["_ovsha", *path])


if __name__ == "__main__":
    for path, script in scripts().items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(script)
