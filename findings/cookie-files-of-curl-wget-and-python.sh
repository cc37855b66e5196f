#!/usr/bin/env bash
# curl 7.88.1, GNU Wget 1.21.3, Python 3.11 to 3.14: one Netscape cookie file means three things.
#
# One would guess that a file which all three call "Netscape" passes from one to the other: it is seven columns. But
#   - curl writes 0 for the end of a session cookie. Python's MozillaCookieJar reads that as 1970: even with
#     load(ignore_discard=True), which says that session cookies are wanted, they are gone;
#   - curl marks HttpOnly by a prefix that looks like a remark, and wget takes it for one: the cookie that holds the
#     login is lost, the others stay;
#   - wget writes host:port where the port is not 80, and neither curl nor Python finds a cookie for such a host;
#   - Python's own jar (with its default policy) sends a cookie without a Domain to subdomains, against RFC 6265, 5.4,
#     and keeps a cookie that is deleted by an Expires before 1970.
#
# Seen:
#   written by curl    read by curl: keep sid    by wget: keep    by Python: keep    by Python, ignore_expires: keep sid
#   written by wget    read by curl: -    by Python, ignore_expires: -
#   Python: host-only to a subdomain: sent; deleted with Expires in 1900: kept, as a session cookie
set -euo pipefail
for tool in curl wget; do command -v "$tool" >/dev/null || { echo "this needs $tool" >&2; exit 2; }; done
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
cat >server.py <<'PYTHON'
import http.server


class Handler(http.server.BaseHTTPRequestHandler):
    """Sets two cookies at /set; elsewhere tells the names of those that came."""

    def do_GET(self):
        got = self.headers.get("Cookie", "")
        body = " ".join(sorted(pair.partition("=")[0].strip() for pair in got.split(";") if pair)).encode() or b"-"
        self.send_response(200)
        if self.path == "/set":
            self.send_header("Set-Cookie", "sid=abc; Path=/; HttpOnly")
            self.send_header("Set-Cookie", "keep=1; Path=/; Max-Age=86400")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
mkfifo port
python3 server.py >port &
server=$!
read -r number <port
url=http://127.0.0.1:$number
cat >by_python.py <<'PYTHON'
import sys
import urllib.request
from http.cookiejar import MozillaCookieJar

jar = MozillaCookieJar(sys.argv[1])
jar.load(ignore_discard=True, ignore_expires=len(sys.argv) > 3)
request = urllib.request.Request(sys.argv[2])
for cookie in jar:  # what is kept, whatever is sent
    if len(sys.argv) > 3 and cookie.expires == 0:
        cookie.expires = None
jar.add_cookie_header(request)
names = sorted(pair.partition("=")[0] for pair in (request.get_header("Cookie") or "").split("; ") if pair)
print(" ".join(names) or "-")
PYTHON
curl -s -c curl.txt "$url/set" >/dev/null
wget -q -O /dev/null --save-cookies wget.txt --keep-session-cookies "$url/set"
a=$(curl -s -b curl.txt "$url/")
b=$(wget -q -O - --load-cookies curl.txt "$url/")
c=$(python3 by_python.py curl.txt "$url/")
d=$(python3 by_python.py curl.txt "$url/" all)
e=$(curl -s -b wget.txt "$url/")
sed -i '1s/.*/# HTTP Cookie File/' wget.txt
f=$(python3 by_python.py wget.txt "$url/" all)
g=$(python3 - <<'PYTHON'
import email.message
import urllib.request
from http.cookiejar import CookieJar


class Answer:
    def __init__(self, field):
        self._head = email.message.Message()
        self._head["Set-Cookie"] = field

    def info(self):
        return self._head


def sent(url, *fields):
    jar = CookieJar()
    for field in fields:
        jar.extract_cookies(Answer(field), urllib.request.Request("http://example.com/"))
    request = urllib.request.Request(url)
    jar.add_cookie_header(request)
    return "sent" if request.get_header("Cookie") is not None else "not sent"


print(sent("http://www.example.com/", "a=1"), end=", ")
print(sent("http://example.com/", "a=1", "a=; Expires=Mon, 01-Jan-1900 00:00:00 GMT"))
PYTHON
)
echo "written by curl    read by curl: $a    by wget: $b    by Python: $c    by Python, ignore_expires: $d"
echo "written by wget    read by curl: $e    by Python, ignore_expires: $f"
echo "Python: host-only to a subdomain, deleted with Expires in 1900: $g"
[ "$a|$b|$c|$d|$e|$f|$g" = "keep sid|keep|keep|keep sid|-|-|sent, sent" ] || { echo "it has changed" >&2; exit 1; }
