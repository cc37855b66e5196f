"""The command lines of the golden runs.

Commands are what a person types into bash. $RAW is the server of fixed answers (`server`), new for each case; $WEB the
practice server, which all cases share; $CLOSED a port where nobody listens. The same words stand for them in `files`.
`sql DATABASE STATEMENTS` changes a ledger. There is one worker wherever the order would be left to chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """Commands that are run one after the other, in a folder of their own."""

    name: str
    commands: tuple[str, ...]
    files: Mapping[str, str | bytes]
    """Files in the folder; what is named .gz is compressed."""
    shown: tuple[str, ...]
    """Folders of durable runs, of which all is written down in the end."""
    unordered: bool
    """The lines on stdout are sorted."""
    interrupted: bool
    """The first command is interrupted, twice, once it has asked for /hold, which is answered from then on."""


CASES: list[Case] = []


def case(
    name: str,
    *commands: str,
    files: Mapping[str, str | bytes] = MappingProxyType({}),
    shown: tuple[str, ...] = (),
    unordered: bool = False,
    interrupted: bool = False,
) -> None:
    """Add a Case."""
    CASES.append(Case(name, commands, files, shown, unordered, interrupted))


GOOD = """\
# pages of every kind

$RAW/ok
$RAW/page.html
  $RAW/data.json
$RAW/gzip
$RAW/chunked
$RAW/empty
$RAW/bytes
"""
MIXED = "$RAW/ok\n$RAW/missing\n$RAW/page.html\n$CLOSED/\n"
ROWS = """\
{"url": "$RAW/seen?1", "method": "POST", "body": {"n": 1.50, "name": "é"}, "label": "an object"}
{"url": "$RAW/seen?2", "headers": {"Accept": "text/*", "X-Row": "2"}, "label": 2.0}
{"url": "$RAW/seen?3", "method": "PUT", "body": "text", "priority": 5}
"$RAW/seen?4"
"""
SECONDS = "timing_queued = 0.5, timing_held = 0.25, timing_dns = 0, timing_connect = 0.125, timing_wait = 1"
ALL_SECONDS = f"{SECONDS}, timing_receive = 2, timing_decode = 0, timing_store = 0.75, elapsed = 3.875"
FIXED_TIMES = f"UPDATE records SET started = '2001-02-03T04:05:06.789Z', {ALL_SECONDS}"

# --- help and version ------------------------------------------------------------------------------------------------

case("version", "fetchq --version", "fetchq -V", "fetchq export --version")
case("help", "fetchq -h", "fetchq --help")
case("help-fetch", "fetchq fetch --help")
case("help-compare", "fetchq compare --help")
case("help-demo", "fetchq demo --help")
case("help-resume", "fetchq resume -h", "fetchq resume --help")
case("help-retry", "fetchq retry --help")
case("help-export", "fetchq export --help")
case("help-cluster", "fetchq cluster --help", "fetchq cluster prepare -h", "fetchq cluster run -h")
case("help-cluster-shards", *(f"fetchq cluster {name} --help" for name in ("run-shard", "status", "finish")))
case("help-diff", "fetchq diff --help")
case("help-report", "fetchq report --help")
case("help-serve", "fetchq serve --help")
case("help-completion", "fetchq completion --help")

# --- what is refused before anything is fetched ----------------------------------------------------------------------

case(
    "refused-commands",
    "fetchq",
    "fetchq exprot run",
    "fetchq urls.txt export",
    "fetchq diff run",
    "fetchq serve --port 70000",
    "fetchq demo --workers none",
    "fetchq compare",
    files={"urls.txt": "$RAW/ok\n"},
)
case(
    "refused-options",
    "fetchq urls.txt --wokers 3",
    "fetchq urls.txt --workers ten",
    "fetchq urls.txt --max-filesize 5X",
    "fetchq urls.txt --rate 5/d",
    "fetchq urls.txt --mode fast",
    "fetchq urls.txt --accept 200..",
    "fetchq urls.txt --header 'Content-Length: 5'",
    "fetchq urls.txt --proxy socks://127.0.0.1:1",
    "fetchq urls.txt --dns-servers here",
    "fetchq urls.txt --cacert no-such-file",
    "fetchq urls.txt --data @no-such-file",
    files={"urls.txt": "$RAW/ok\n"},
)
case(
    "refused-together",
    "fetchq urls.txt --ipv4 --ipv6",
    "fetchq urls.txt --json --format csv",
    "fetchq urls.txt --include text",
    "fetchq urls.txt --json --include text --include base64",
    "fetchq urls.txt --mode sync --dns-servers 127.0.0.1",
    "fetchq urls.txt --per-host-by ip --proxy http://127.0.0.1:1",
    "fetchq urls.txt --resume",
    "fetchq urls.txt -o run --resume --overwrite",
    files={"urls.txt": "$RAW/ok\n"},
)
case(
    "refused-sources",
    "fetchq no-such-file.txt",
    "fetchq 127.0.0.1/path",
    "mkdir folder; fetchq folder",
    "fetchq pages.csv",
    "fetchq - --input-format tsv < pages.csv",
    ": > empty.txt.gz; fetchq empty.txt.gz",
    "fetchq compare none.txt",
    files={"pages.csv": "name,link\nok,$RAW/ok\n"},
)
case(
    "refused-folders",
    "fetchq resume no-such-run",
    "fetchq export no-such-run",
    "fetchq urls.txt -o urls.txt",
    "mkdir other; touch other/file; fetchq urls.txt -o other",
    "fetchq urls.txt -o new --refresh other",
    "ls",
    files={"urls.txt": "$RAW/ok\n"},
)

# --- fetching --------------------------------------------------------------------------------------------------------

case("fetch-text", "fetchq urls.txt -w 1", files={"urls.txt": GOOD})
case("fetch-jsonl", "fetchq urls.txt -w 1 --json", files={"urls.txt": GOOD})
case("fetch-jsonl-threads", "fetchq urls.txt -w 1 --json --mode threads", files={"urls.txt": GOOD})
case("fetch-jsonl-sync", "fetchq urls.txt -w 1 --json --mode sync", files={"urls.txt": GOOD})
case("fetch-csv", "fetchq urls.txt -w 1 --format csv", files={"urls.txt": GOOD})
case(
    "fetch-arguments",
    "fetchq fetch $RAW/ok $RAW/missing --accept 200,404 -w 1 --mode threads",
    "fetchq $RAW/ok 'http://name:secret@127.0.0.1:1/' ftp://127.0.0.1/file --json --retries 0 -w 1 --mode sync",
)
case(
    "fetch-many-workers",
    "fetchq urls.txt -w 4 --per-host 1 --quiet --format csv | cut -d , -f 1-20",
    files={"urls.txt": GOOD},
    unordered=True,
)
case(
    "include",
    "fetchq $RAW/data.json $RAW/page.html -w 1 --json --quiet --include headers --include text",
    "fetchq $RAW/gzip $RAW/colours -w 1 --json --quiet --include base64 --mode sync",
    "fetchq $RAW/formula $RAW/colours -w 1 --format csv --quiet --include headers --include text",
)
case(
    "practice-server",
    "fetchq $WEB/json $WEB/html $WEB/bytes/70000 $WEB/redirect/2 $WEB/stream/3 $WEB/status/418 -w 1",
    "fetchq http://practice.test/ http://practice.test/echo?a=1 --proxy $WEB -w 1 --mode sync --json --quiet "
    "--include headers --include text",
)

# --- lists -----------------------------------------------------------------------------------------------------------

case(
    "list-jsonl",
    "fetchq rows.jsonl -w 1 --mode sync --json --quiet --include text",
    files={"rows.jsonl": ROWS},
)
case(
    "list-csv",
    "cat pages.csv | fetchq - --input-format csv --url-column link -w 1 --format csv --quiet --include text",
    files={
        "pages.csv": 'link,method,label,body,priority\n$RAW/seen,,"=1+1, ""quoted""",,\n$RAW/seen?2,put,-2,text,7\n'
    },
)
case("list-compressed", "fetchq urls.txt.gz --mode sync --quiet", files={"urls.txt.gz": "$RAW/ok\n$RAW/page.html\n"})
case(
    "list-piped",
    "printf '%s\\n' $RAW/ok '# a comment' '' $RAW/missing | fetchq - -w 1",
)
case(
    "list-empty",
    "fetchq - --mode sync < /dev/null",
    "fetchq urls.txt -o run --mode sync; ls run",
    files={"urls.txt": "# nothing\n\n"},
)
case(
    "list-bad-rows",
    "fetchq bad.txt -w 1 --mode sync --json --quiet",
    "fetchq bad.jsonl -w 1 --mode sync",
    "fetchq bad.csv -w 1 --mode sync --format csv --quiet",
    files={
        "bad.txt": b"no url\nhttp://\nmailto:me@127.0.0.1\nhttp://127.0.0.1:99999/\nhttp://127.0.0.1/\x07\nhttp://\xff/\n"
        b"http://127.0.0.1/%b\n" % (b"x" * 70_000),
        "bad.jsonl": '{"url": 5}\n{"link": "$RAW/ok"}\n{broken\n[1]\n{"url": "$RAW/ok", "headers": 5}\n'
        '{"url": "$RAW/ok", "method": "a b"}\n{"url": "$RAW/ok", "priority": 0.5}\n{"url": "$RAW/ok"}\n',
        "bad.csv": "url,priority\n$RAW/ok,first\n,1\n$RAW/ok,1,more\n$RAW/ok,1\n",
    },
)

# --- requests --------------------------------------------------------------------------------------------------------

case(
    "request-options",
    "fetchq $RAW/seen -X PUT -d '[1]' -H 'Content-Type: application/json' -H 'X-Two: 2' --json -q --include text",
    "fetchq $RAW/seen --data @body.txt -A us/1.0 -b 'sid=1; b=2' -u name:secret --mode sync --json -q --include text",
    "fetchq $RAW/data.json -X HEAD --json -q --include headers",
    files={"body.txt": "a body\nof two lines\n"},
)
case(
    "request-environment",
    "FETCHQ_USER=name:secret FETCHQ_HEADER=$'A: 1\\nB: 2' FETCHQ_JSON=1 FETCHQ_QUIET=yes FETCHQ_INCLUDE=text "
    "fetchq $RAW/seen",
    "FETCHQ_WORKERS=many fetchq $RAW/seen",
    "FETCHQ_JSON=1 FETCHQ_MODE=sync fetchq $RAW/ok --format csv --quiet",
    "FETCHQ_INSECURE=1 FETCHQ_WORKERS=2 fetchq $RAW/ok --mode sync --no-json",
)
case(
    "config",
    "fetchq $RAW/seen --config mine.toml --mode sync",
    "FETCHQ_WORKERS=3 fetchq $RAW/seen --config mine.toml --format csv --no-quiet --user-agent other/2",
    "fetchq $RAW/ok --config unknown.toml",
    "fetchq $RAW/ok --config wrong.toml",
    "cp mine.toml fetchq.toml; fetchq $RAW/ok",
    "grep -v header mine.toml > fetchq.toml; fetchq $RAW/ok --no-json --no-quiet",
    files={
        "mine.toml": 'workers = 2\nuser-agent = "mine/1"\nheader = ["X-From: file"]\njson = true\nquiet = true\n'
        'include = ["text"]\n',
        "unknown.toml": "wokers = 2\n",
        "wrong.toml": 'workers = "two"\n',
    },
)

# --- redirects, retries, faults --------------------------------------------------------------------------------------

REDIRECTS = """\
$RAW/hop/3
$RAW/loop
$RAW/nowhere
$RAW/bad-location
$RAW/to-ftp
$RAW/see-other
$RAW/temporary
"""
case(
    "redirects",
    "fetchq urls.txt -w 1 --json -d data",
    "fetchq urls.txt -w 1 --mode sync",
    "fetchq $RAW/hop/3 --max-redirects 0 --accept 302 --mode sync --quiet",
    files={"urls.txt": REDIRECTS},
)
RETRIES = "$RAW/flaky/1\n$RAW/flaky/2\n$RAW/flaky/9\n$RAW/missing\n$CLOSED/\n"
case("retries", "fetchq urls.txt -w 1 --retry-wait 0 --json", files={"urls.txt": RETRIES}, unordered=True)
case(
    "retries-threads", "fetchq urls.txt -w 1 --retry-wait 0 --mode threads", files={"urls.txt": RETRIES}, unordered=True
)
case(
    "retries-options",
    "fetchq $RAW/flaky/1 $RAW/flaky/2 -w 1 --retry-wait 0 --retry-on 500 --mode sync",
    "fetchq $RAW/flaky/9 -X POST --retry-wait 0 --mode sync --quiet",
    "fetchq $RAW/too-many -w 1 --retry-wait 0 --no-adapt --json",
)
FAULTS = """\
$RAW/short
$RAW/bad-chunk
$RAW/cut-chunk
$RAW/no-length
$RAW/two-lengths
$RAW/bad-length
$RAW/no-http
$RAW/bad-status
$RAW/nothing
$RAW/half-head
$RAW/rot13
$RAW/bad-gzip
"""
case("faults", "fetchq urls.txt -w 1 --retries 0 --json", files={"urls.txt": FAULTS})
case("faults-sync", "fetchq urls.txt -w 1 --retries 0 --mode sync", files={"urls.txt": FAULTS})
case(
    "limits",
    "fetchq $RAW/bytes $RAW/gzip -w 1 --max-filesize 100",
    "fetchq $RAW/rot13 --accept-encoded --json --quiet --include text --mode sync",
    "fetchq $RAW/hold --read-timeout 100ms --retries 0",
)
case(
    "robots",
    "fetchq $RAW/private/1 $RAW/ok --robots -w 1",
    "fetchq $RAW/private/1 $RAW/ok --robots -w 1 --mode sync --json",
    unordered=True,
)

# --- what is shown on the way ----------------------------------------------------------------------------------------

case(
    "shown",
    "fetchq urls.txt -w 1 --progress none --retries 0 --mode sync",
    "fetchq urls.txt -w 1 --verbose --retries 0",
    "fetchq urls.txt -w 1 --progress dots --retries 0 --mode sync",
    "fetchq urls.txt -w 1 --retries 0 2>&1",
    "fetchq urls.txt -w 1 --retries 0 --json --quiet >&-",
    files={"urls.txt": MIXED},
)
case("full-disk", "fetchq $RAW/ok > /dev/full", "fetchq --version > /dev/full")
case(
    "compare",
    "fetchq compare urls.txt -w 1 --retries 0 --rounds 1 --cold --mode sync",
    files={"urls.txt": MIXED},
)

# --- durable runs ----------------------------------------------------------------------------------------------------

case(
    "durable",
    "fetchq urls.txt -w 1 -o run --retries 0",
    "fetchq resume run",
    "fetchq urls.txt -o run",
    "fetchq urls.txt -o run --resume",
    "fetchq urls.txt -o run --resume --save none",
    "fetchq urls.txt -w 1 -o run --overwrite --mode threads --quiet --retries 0",
    shown=("run",),
    files={"urls.txt": MIXED},
)
case(
    "durable-secrets",
    "fetchq $RAW/seen 'http://name:secret@127.0.0.1:1/' -w 1 -o run -H 'X-Key: secret' --retries 0 --quiet",
    "fetchq retry run",
    "fetchq retry run -H 'X-Key: secret'",
    shown=("run",),
)
case(
    "durable-piped",
    "cat urls.txt | fetchq - -w 1 -o run --save none --retries 0",
    "sed s/ok/missing/ urls.txt | fetchq - -w 1 -o run --save none --resume",
    shown=("run",),
    files={"urls.txt": MIXED},
)
case(
    "durable-warc",
    "fetchq urls.txt -w 1 -o run --save warc --json",
    shown=("run",),
    files={"urls.txt": "$RAW/ok\n$RAW/hop/1\n"},
)
case(
    "durable-parquet",
    "fetchq urls.txt -w 1 -o run --save parquet",
    shown=("run",),
    files={"urls.txt": "$RAW/ok\n$RAW/data.json\n$RAW/missing\n"},
)
case(
    "durable-dedupe",
    "fetchq urls.txt -w 1 -o run --dedupe --json",
    shown=("run",),
    files={"urls.txt": "$RAW/ok\n$RAW/missing\n$RAW/ok\n$RAW/ok#part\n"},
)
case(
    "durable-refresh",
    "fetchq urls.txt -w 1 -o old --quiet",
    "fetchq urls.txt -w 1 -o new --refresh old --json",
    "fetchq diff old new --least 1000 --json",
    shown=("new",),
    unordered=True,
    files={"urls.txt": "$RAW/kept\n$RAW/dated\n$RAW/changes\n$RAW/ok\n"},
)
case(
    "refresh-of-nothing",
    "fetchq urls.txt -w 1 -o first --refresh no-such-run --format none",
    files={"urls.txt": "$RAW/kept\n"},
)
case(
    "interrupted",
    "exec fetchq urls.txt -w 1 -o run",
    "fetchq export run --where 'status = 404'",
    "fetchq resume run",
    "fetchq resume run",
    shown=("run",),
    interrupted=True,
    files={"urls.txt": "$RAW/missing\n$RAW/hold\n$RAW/ok\n"},
)
case("interrupted-threads", "exec fetchq $RAW/ok $RAW/hold $RAW/gzip -w 1 --json --mode threads", interrupted=True)
case(
    "retry",
    "fetchq urls.txt -w 1 -o run --retries 0 --mode sync --quiet",
    "fetchq retry run",
    "fetchq retry run --where 'status = 404' --mode async --json",
    "fetchq retry run --where 'no such column'",
    "fetchq retry run --where 'status = 299'",
    "fetchq retry run --quiet",
    shown=("run",),
    files={"urls.txt": "$RAW/ok\n$RAW/flaky/1\n$RAW/missing\n$RAW/flaky/2\n"},
)
case(
    "export",
    "fetchq urls.txt -w 1 -o run --retries 0 --quiet --mode sync",
    f'sql run/run.db "{FIXED_TIMES}"',
    "fetchq export run",
    "fetchq export run --format csv",
    "fetchq export run --where \"cause = 'connect' OR timing_wait > 5\" --format jsonl",
    "fetchq export run --where '\"index\" < 1' -o one.csv; cat one.csv",
    "fetchq export run --where 'wait > 5'",
    "fetchq export run --where '1; DELETE FROM records'",
    "fetchq export run -o run",
    "fetchq export run -o run/run.db",
    "fetchq export run > /dev/full",
    files={"urls.txt": MIXED},
)
case(
    "diff",
    "fetchq old.txt -w 1 -o old --quiet --retries 0 --mode sync",
    "fetchq new.txt -w 1 -o new --quiet --retries 0 --mode sync",
    f'sql old/run.db "{FIXED_TIMES}"',
    f'sql new/run.db "{FIXED_TIMES}; UPDATE records SET elapsed = 60 WHERE status = 404; '
    "UPDATE records SET elapsed = 0.5 WHERE url LIKE '%/gzip'\"",
    "fetchq diff old new",
    "fetchq diff old new --json",
    "fetchq diff old new --factor 10 --least 1m | head -n 1",
    "fetchq diff old old",
    "fetchq diff old new --factor 0.5",
    "fetchq diff old no-such-run",
    files={
        "old.txt": "$RAW/ok\n$RAW/changes\n$RAW/disappears\n$RAW/missing\n$RAW/gzip\n$RAW/page.html\n",
        "new.txt": "$RAW/ok\n$RAW/changes\n$RAW/disappears\n$RAW/missing\n$RAW/gzip\n$RAW/data.json\n",
    },
)
case(
    "damaged",
    "fetchq urls.txt -o run --quiet --mode sync",
    'sql run/run.db "PRAGMA user_version = 99"',
    "fetchq export run",
    "fetchq resume run",
    "printf 'no database' > run/run.db",
    "fetchq resume run",
    "fetchq diff run run",
    files={"urls.txt": "$RAW/ok\n"},
)
case(
    "changed-list",
    "fetchq urls.txt -o run --deadline 1ms --quiet --mode sync > /dev/null; echo $RAW/ok >> urls.txt",
    "fetchq resume run",
    "rm urls.txt; fetchq resume run",
    files={"urls.txt": "$RAW/hold\n"},
)
