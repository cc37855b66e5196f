"""Runs `fetchq completion SHELL`: prints the script by which a shell completes the words of fetchq's command line.

The script calls fetchq with the variable `_FETCHQ_COMPLETE` for each word, and click answers with lines of a type, a
value and a description. The types `file` and `dir` leave it to the shell to find paths.
"""

from __future__ import annotations

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from fetchq.cli import COMMANDS

__all__ = ["VARIABLE", "command"]

VARIABLE = "_FETCHQ_COMPLETE"
"""The variable by which a shell asks for completions."""

_BASH = """\
%(complete_func)s() {
    local type value path kind
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            file | dir)
                compopt -o filenames 2>/dev/null
                kind=${type/dir/directory}
                while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen -A "$kind" -- "$value")
                ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a response described bare
    local type value description found=1
    response=("${(@f)$(
        COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) %(complete_var)s=zsh_complete ${(Q)words[1]} 2>/dev/null
    )}")
    compset -P '--*='
    for type value description in "${response[@]}"; do
        case $type in
            plain) if [[ $description == _ ]]; then bare+=("$value"); else described+=("$value:$description"); fi ;;
            file) _files && found=0 ;;
            dir) _files -/ && found=0 ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described && found=0
    (( $#bare )) && compadd -V unsorted -a bare && found=0
    return $found
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    set -l token (commandline -ct)
    set -l before (string match -r '^--[^=]+=' -- $token)
    set -l words (commandline -cp | string collect)
    for line in (COMP_WORDS="$words" COMP_CWORD="$token" %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case plain
                printf '%%s%%s\\n' "$before" $parts[2]
            case file
                printf '%%s%%s\\n' "$before"(__fish_complete_path "$parts[2]")
            case dir
                printf '%%s%%s\\n' "$before"(__fish_complete_directories "$parts[2]")
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


class _Completion(ShellComplete):
    """Completes as click does, and also knows that a command, or a SOURCE of the default one, may come first."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        found = super().get_completions([one for one in args if one != "="], incomplete)  # bash splits --mode=sync
        if args:
            return found
        if incomplete.startswith("-"):
            own = [flag for option in self.cli.params for flag in option.opts if flag.startswith(incomplete)]
            return found + [CompletionItem(flag) for flag in own]
        return [
            CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)
        ] + found

    def source(self) -> str:
        return self.source_template % self.source_vars()


@add_completion_class
class _Bash(_Completion, BashComplete):
    source_template = _BASH


@add_completion_class
class _Zsh(_Completion, ZshComplete):
    source_template = _ZSH


@add_completion_class
class _Fish(_Completion, FishComplete):
    source_template = _FISH


_SHELLS = {one.name: one for one in (_Bash, _Zsh, _Fish)}


@click.command("completion", context_settings={"max_content_width": 110})
@click.argument("shell", type=click.Choice(list(_SHELLS)))
def command(shell: str) -> int:
    """Print the script that makes SHELL complete commands, options, their values, and files.

    \b
      bash   eval "$(fetchq completion bash)"      in ~/.bashrc
      zsh    eval "$(fetchq completion zsh)"       in ~/.zshrc, after compinit
      fish   fetchq completion fish > ~/.config/fish/completions/fetchq.fish
    """
    root = click.get_current_context().find_root()
    click.echo(_SHELLS[shell](root.command, {}, "fetchq", VARIABLE).source(), nl=False)
    return 0
