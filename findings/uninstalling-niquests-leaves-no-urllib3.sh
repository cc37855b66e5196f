#!/usr/bin/env bash
# niquests 3.21.2 with urllib3-future 2.25.904, beside requests 2.34.2 and urllib3 2.8.0: once they were installed, the
# metadata of the environment do not tell which urllib3 is imported, and uninstalling them does not bring it back.
#
# urllib3-future copies itself over the folder of urllib3, by a .pth file that runs whenever Python starts. One would
# guess that `pip uninstall niquests urllib3-future` undoes that, or that `pip check` notices: urllib3 2.8.0 counts as
# installed all the time, but what is left of it is a folder that can be imported and has nothing in it, so that
# `import requests` fails. `pip install --force-reinstall urllib3` mends it.
#
# Seen:
#   before:     metadata 2.8.0, imported 2.8.0
#   with it:    metadata 2.8.0, imported 2.25.904
#   uninstalled: pip check: No broken requirements found.
#   after it:   metadata 2.8.0, imported nothing
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check)
tell() {
    "$folder/venv/bin/python" -c '
from importlib.metadata import version
import urllib3
print("metadata " + version("urllib3") + ", imported " + getattr(urllib3, "__version__", "nothing"))'
}
"${pip[@]}" install requests==2.34.2 urllib3==2.8.0 2>/dev/null
before=$(tell)
echo "before:      $before"
"${pip[@]}" install niquests==3.21.2 urllib3-future==2.25.904 2>/dev/null
with=$(tell)
echo "with it:     $with"
"${pip[@]}" uninstall --yes niquests urllib3-future
checked=$("$folder/venv/bin/pip" --disable-pip-version-check check)
echo "uninstalled: pip check: $checked"
after=$(tell)
echo "after it:    $after"
[ "$before" = "metadata 2.8.0, imported 2.8.0" ]
[ "$with" = "metadata 2.8.0, imported 2.25.904" ]
[ "$checked" = "No broken requirements found." ]
[ "$after" = "metadata 2.8.0, imported nothing" ]
