#!/usr/bin/env bash
# In bash, click completes `--mode s` and `--mode=`, but not `--mode=s`.
#
# Versions:  click 8.5.1, bash 5.2
# Behaviour: bash splits the line at = (COMP_WORDBREAKS), so that the words before the one to complete are "--mode" and
#            "=". Click drops an = only where it is itself the word to complete; before one, it is taken for an argument,
#            and the option that is to get a value is not found any more. No value is offered, and no error shown.
# Guess:     both spellings of an option complete alike: the parser takes both, and --mode=<TAB> lists the values.
#
# Output seen:
#   p --mode s     sync
#   p --mode=      async, sync, threads
#   p --mode=s     nothing
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check click==8.5.1

cat > "$folder/p" <<PY
#!$folder/venv/bin/python
import click

@click.command()
@click.option("--mode", type=click.Choice(["async", "threads", "sync"]))
def p(mode):
    click.echo(mode)

p(prog_name="p")
PY
chmod +x "$folder/p"

cat > "$folder/type.py" <<'PY'
import os
import pty
import re
import select
import sys

folder = sys.argv[1]
words = re.compile(r"\b(?:async|threads|sync)\b")


def shown_after(typed):
    """What an interactive bash shows once this is typed: a process of its own, on a terminal of its own."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(PATH=f"{folder}:{os.environ['PATH']}", PS1="> ", TERM="dumb", HOME=folder)
        os.execvp("bash", ["bash", "--noprofile", "--norc", "-i"])
    # READY is printed by the shell itself; its echo of the line has quotes in it.
    os.write(terminal, b'eval "$(_P_COMPLETE=bash_source p)"; bind "set bell-style none"; echo RE"AD"Y\n')
    read_until(terminal, "READY")
    os.write(terminal, typed.encode())
    shown = read_until(terminal, None)
    os.write(terminal, b"\x15exit\n")
    os.waitpid(child, 0)
    os.close(terminal)
    return shown


def read_until(terminal, text):
    """What the terminal shows until `text` comes; without one, until the shell says nothing more for two seconds."""
    shown = ""
    while text is None or text not in shown:
        if not select.select([terminal], [], [], 2 if text is None else 30)[0]:
            break
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


seen = {}
for typed in ("p --mode s", "p --mode=", "p --mode=s"):
    shown = shown_after(f"{typed}\t\t")
    seen[typed] = sorted(set(words.findall(shown)))
    print(f"{typed:<14} {', '.join(seen[typed]) or 'nothing'}")
expected = {"p --mode s": ["sync"], "p --mode=": ["async", "sync", "threads"], "p --mode=s": []}
sys.exit(0 if seen == expected else "the behaviour has changed")
PY
python3 "$folder/type.py" "$folder"
