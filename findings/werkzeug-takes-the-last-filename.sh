#!/usr/bin/env bash
# Werkzeug 3.1.9, and Python's email: which of the two names in a Content-Disposition one gets depends on their order.
#
# A server that suggests a name beyond ASCII sends it twice: filename="EURO.txt" for old clients, and
# filename*=UTF-8''%e2%82%ac.txt. RFC 6266, 4.3: a recipient that understands filename* takes that one and ignores the
# other, in whichever order they come, and so do browsers, Django and aiohttp. One would guess that
# werkzeug.http.parse_options_header, which decodes filename*, does so, too. It keeps the parameter that comes last.
# Of the two classes of the standard library, which its documentation names in place of cgi.parse_header, EmailMessage
# keeps the one that comes first, and Message always the one in ASCII. So a test with one order shows nothing.
#
# Seen:
#                     the ASCII one first    the ASCII one last
#   RFC 6266          €.txt                  €.txt
#   Django 5.2.19     €.txt                  €.txt
#   Werkzeug 3.1.9    €.txt                  EURO.txt
#   EmailMessage      EURO.txt               €.txt
#   Message           EURO.txt               EURO.txt
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check werkzeug==3.1.9 django==5.2.19 2>/dev/null
PYTHONIOENCODING=utf-8 "$folder/venv/bin/python" - <<'PYTHON'
import sys
from email.message import EmailMessage, Message

from django.utils.http import parse_header_parameters
from werkzeug.http import parse_options_header

ASCII, EXTENDED = 'filename="EURO.txt"', "filename*=UTF-8''%e2%82%ac.txt"
FIELDS = [f"attachment; {ASCII}; {EXTENDED}", f"attachment; {EXTENDED}; {ASCII}"]


def by_email(kind: type, field: str) -> str:
    message = kind()
    message["Content-Disposition"] = field
    return message.get_filename()


seen = {
    "Django 5.2.19": [parse_header_parameters(field)[1]["filename"] for field in FIELDS],
    "Werkzeug 3.1.9": [parse_options_header(field)[1]["filename"] for field in FIELDS],
    "EmailMessage": [by_email(EmailMessage, field) for field in FIELDS],
    "Message": [by_email(Message, field) for field in FIELDS],
}
print(f"{'':<18}{'the ASCII one first':<23}the ASCII one last")
for who, (first, last) in seen.items():
    print(f"{who:<18}{first:<23}{last}")
wanted = [["€.txt", "€.txt"], ["€.txt", "EURO.txt"], ["EURO.txt", "€.txt"], ["EURO.txt", "EURO.txt"]]
sys.exit(0 if list(seen.values()) == wanted else "it is no longer so")
PYTHON
