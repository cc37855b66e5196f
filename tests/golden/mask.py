"""Takes out of a golden run what varies from one run to the next, and nothing else.

Ports, moments, measured times and what is computed from them become fixed words. Columns keep their width; a table,
whose columns are as wide as what is in them, is laid out anew, but only if it was laid out right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["masked", "with_escapes"]

_TIME = r"\d+(?:\.\d+)? m?s"
_NUMBER = r"\d+(?:\.\d+)?"
_SPEED = rf"{_NUMBER} [kMGT]?B/s"

_ANYWHERE: list[tuple[str, str]] = [
    (r'(\\"attribution\\": )\{.*?\}(, \\"verdict\\": )(?:null|\{.*?\})\}', r"\1<measured>\2<measured>}"),
    (r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "<moment>"),
    # What is measured has more than three decimals, where what somebody chose has not.
    (r"(?<![\w.-])\d+\.\d{4,}(?:e-?\d+)?(?![\w.])|(?<![\w.-])\d(?:\.\d+)?e-\d+(?![\w.])", "<seconds>"),
    (r'((?:"date":\["|^Date: ))[^"\r\n]+', r"\1<date>"),
    # Exactly 0 where all arrived together, or was noticed at once.
    (r'("(?:timing_)?(?:wait|receive|lag)": ?)0\.0', r"\1<seconds>"),
    (
        r'(<moment>"?, ?<seconds>(?:, ?[^,]*){5}, ?)(?:<seconds>|0\.0)(, ?)(?:<seconds>|0\.0)(, ?)(?:<seconds>|0\.0)',
        r"\1<seconds>\2<seconds>\3<seconds>",
    ),
    (r"Python/3\.\d+ aiohttp/[\d.]+", "<server>"),
    (r"\(Error -3 while [^()]+\)", "(<zlib's words>)"),
    (r"(\.warc\.gz#)\d+", r"\1<offset>"),
    (r'(file\\": \d+, \\"size\\": )\d+', r"\1<offset>"),
    (r"(WARC-Block-Digest: \w+:)\w+", r"\1<digest>"),
    (r'(digest\\": \\")[0-9a-f]{64}', r"\1<digest>"),
]
_WORKERS_TIME = "where the workers' time went: "
"""The beginning of the line that the verdict follows."""
_OF_A_LINE: list[tuple[str, str]] = [
    (
        rf"(\d+ URLs?: .* failed, (?:\d+ cut off, )?(?:\d+ not tried, )?in ){_TIME} \({_NUMBER} URL/s\)",
        r"\1<time> (<rate> URL/s)",
    ),
    (rf"(.* of bodies, .* on the wire, ){_SPEED}", r"\1<speed>"),
    (rf"(fetch times add up to ){_TIME}: {_NUMBER}( URLs at a time, with .*)", r"\1<time>: <number>\2"),
    (rf"({_WORKERS_TIME}).*", r"\1<shares>"),
    (rf"(.*, asked ){_NUMBER}( times a second.*)", r"\1<number>\2"),
    (rf"(sync|threads|async): {_TIME}", r"\1: <time>"),
    (rf"(round \d of \d: \w+|\w+ took|sync: The run took only) {_TIME}(.*)", r"\1 <time>\2"),
    (r"(  worker +\d+ \|)[ \d=+]{64}\|", rf"\1{'<bars>'.ljust(64)}|"),
]
_RESULT = re.compile(rf"(  (?: \d{{3}}| ---) )(?= {{0,8}}{_TIME} )(.{{9}})( .{{9}} .{{6}}  .*)")
_TABLE = re.compile(r"(?:time per URL|worker)  | {9,}\w")
_COMPUTED = ("URLs at a time", "URL/s", "times as fast")
"""Rows of the comparison whose numbers are measured."""


def masked(text: str, names: Mapping[str, str], ports: Mapping[int, str]) -> str:
    """`text` with the `names`, the `ports` and all that varies replaced by fixed words."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    for pattern, word in _ANYWHERE:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    for port, word in ports.items():
        text = re.sub(rf"(?<=[:_]){port}(?!\d)", word, text)
    seen: dict[str, str] = {}
    text = re.sub(r"urn:uuid:[\w-]{36}", lambda found: seen.setdefault(found[0], f"urn:uuid:<{len(seen) + 1}>"), text)
    return "\n".join(_lines(text.split("\n")))


def with_escapes(text: str) -> str:
    """Every character that cannot be seen, but the newline, as its number in < >."""
    return re.sub(r"[^\n\x20-\x7e\xa1-\u0233]", lambda found: f"<{ord(found[0]):02X}>", text)


def _lines(lines: list[str]) -> list[str]:
    done: list[str] = []
    at = 0
    while at < len(lines):
        end = at + 1
        if _TABLE.match(lines[at]):
            while end < len(lines) and len(_cells(lines[end])) == len(_cells(lines[at])):
                end += 1
            done += _table(lines[at:end])
        elif lines[at].startswith(_WORKERS_TIME):
            done += [_line(lines[at]), "<verdict>"]
            end += 1
        else:
            done.append(_line(lines[at]))
        at = end
    return done


def _line(line: str) -> str:
    if found := _RESULT.fullmatch(line):
        return f"{found[1]}{'<time>':>9}{found[3]}"
    for pattern, word in _OF_A_LINE:
        if found := re.fullmatch(pattern, line):
            return found.expand(word)
    return line


def _table(lines: list[str]) -> list[str]:
    """The table with its measured cells masked; a table that is not laid out as one, as it is."""
    rows = [_cells(line) for line in lines]
    if _laid_out(rows) != lines:
        return lines
    return _laid_out([[row[0], *map(_cell_of(row[0]), row[1:])] for row in rows])


def _cells(line: str) -> list[str]:
    return re.split(" {2,}", line)


def _cell_of(head: str) -> Callable[[str], str]:
    def cell(text: str) -> str:
        if head in _COMPUTED and re.fullmatch(_NUMBER, text):
            return "<number>"
        if head == "peak memory":
            return "<size>"
        return "<time>" if re.fullmatch(_TIME, text) else re.sub(r"^\d+ %$", "<share>", text)

    return cell


def _laid_out(rows: list[list[str]]) -> list[str]:
    """The first column to the left, the others to the right, two blanks between them."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in rows
    ]
