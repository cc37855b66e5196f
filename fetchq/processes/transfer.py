"""Encodes rows and Results for another process.

They go in batches, by `marshal`, which takes a third of the time of pickle. What it cannot write, few of them have, and
it is pickled beside them. A large body goes through a file, which the reader deletes.
"""

from __future__ import annotations

import marshal
import os
import pickle
from datetime import datetime
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fetchq.core.body_spool import MAX_IN_MEMORY, Spool, create_file
from fetchq.core.cause import Cause, Complete
from fetchq.core.headers import headers_of
from fetchq.core.lazy_field import LazyField
from fetchq.core.model import Result, begin_result, finish_result, kept_headers, kept_passed, make_timing, phase_values
from fetchq.core.passed_columns import passed_text
from fetchq.core.request import Request, make_request
from fetchq.core.scratch_file import ScratchSpool
from fetchq.core.unlisted_fields import every_field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["decode_results", "decode_rows", "encode_results", "encode_rows"]

_row_values = attrgetter(*(one.name for one in every_field(Request)))


def encode_rows(rows: Sequence[Request]) -> bytes:
    """These rows as bytes."""
    values = list(map(_row_values, rows))
    try:
        return b"M" + marshal.dumps(values)
    except ValueError:  # the response that an earlier run has stored is an object; and a text may be of a subclass
        values = [tuple(str(one) if isinstance(one, str) else one for one in row) for row in values]
        return b"P" + pickle.dumps(values, pickle.HIGHEST_PROTOCOL)


def decode_rows(content: bytes) -> list[Request]:
    """The rows that `encode_rows` has encoded."""
    load = marshal.loads if content[:1] == b"M" else pickle.loads
    return [make_request(*values) for values in load(content[1:])]


_PICKLED = ("_spool", "_sent", "trailers", "hops", "_exchanges")
"""The fields of a Result that are pickled where they are not empty."""
_FIELDS = tuple(one.name for one in every_field(Result) if one.name not in _PICKLED)
_CAUSES: dict[str | None, Cause | None] = {None: None, **{one.value: one for one in Cause}}
_COMPLETE: dict[str | None, Complete | None] = {None: None, **{one.value: one for one in Complete}}
_numbers = count()


def _started(result: Result) -> float | None:
    kept = _kept_started(result)
    return kept.timestamp() if isinstance(kept, datetime) else kept


def _passed(result: Result) -> str | None:
    kept = kept_passed(result)
    return passed_text(kept) if isinstance(kept, dict) else kept


def _headers(result: Result) -> bytes | tuple[tuple[str, str], ...]:
    kept = kept_headers(result)
    return kept if isinstance(kept, bytes) else tuple((str(name), value) for name, value in kept.items())


def _lazy(name: str) -> Callable[[Any], Any]:
    field = Result.__dict__[name]
    assert isinstance(field, LazyField)
    return field.kept


_kept_started = _lazy("started")
_TO_PLAIN: dict[str, str] = {
    "cause": "result.cause and result.cause.value",
    "complete": "result.complete and result.complete.value",
    "timing": "phases(result.timing)",
    "started": "started(result)",
    "headers": "headers(result)",
    "passed": "passed(result)",
}
"""The expressions for the fields whose values `marshal` cannot write as they are."""
_FROM_PLAIN: dict[str, str] = {
    "cause": "causes[cause]",
    "complete": "completes[complete]",
    "timing": "make_timing(*timing)",
    "headers": "headers if type(headers) is bytes else headers_of(headers)",
}


def _functions() -> tuple[Callable[[Result], tuple[Any, ...]], Callable[[tuple[Any, ...]], Any]]:
    """Generate the functions that take a Result apart, and make a draft of one again, from its fields."""
    values = [_TO_PLAIN.get(name, f"result.{name}") for name in _FIELDS]
    lines = [
        f"def apart(result): return ({', '.join(values)})",
        "def draft(values):",
        f" {', '.join(_FIELDS)} = values",
    ]
    lines += [" result = begin()", *(f" result.{name} = {_FROM_PLAIN.get(name, name)}" for name in _FIELDS)]
    lines += [" return result"]
    scope: dict[str, Any] = {"phases": phase_values, "started": _started, "headers": _headers, "passed": _passed}
    scope |= {"causes": _CAUSES, "completes": _COMPLETE, "make_timing": make_timing, "headers_of": headers_of}
    scope["begin"] = begin_result
    exec("\n".join(lines), scope)  # noqa: S102  # only field names go in
    return scope["apart"], scope["draft"]


_apart, _draft = _functions()


def encode_results(results: Sequence[Result], folder: str) -> bytes:
    """These Results as bytes. Raises OSError. `folder`: for the files of large bodies."""
    rest: dict[int, dict[str, Any]] = {}
    values: list[tuple[Any, ...]] = []
    for place, result in enumerate(results):
        more = {name: value for name in _PICKLED if (value := getattr(result, name))}
        one = _apart(result)
        if isinstance(spool := result._spool, ScratchSpool):
            more["_spool"] = _in_file(spool, folder)
        if len(result.body) > MAX_IN_MEMORY:
            more["body"] = path = _new_name(folder)
            create_file(path, result.body)
            one = (*one[:_BODY], b"", *one[_BODY + 1 :])
        if more:
            rest[place] = more
        values.append(one)
    return marshal.dumps((values, pickle.dumps(rest, pickle.HIGHEST_PROTOCOL) if rest else b""))


def _new_name(folder: str) -> str:
    return os.path.join(folder, f"{os.getpid()}-{next(_numbers)}")


def _in_file(spool: ScratchSpool, folder: str) -> Spool:
    """The same body, as a spool that another process can read, which deletes its file when it is discarded."""
    found = Spool("")
    if spool.size <= MAX_IN_MEMORY:
        found.add(b"".join(spool.pieces()))
    else:
        found.adopt(path := _new_name(folder), spool.size)
        with open(path, "xb") as file:
            file.writelines(spool.pieces())
    spool.discard()
    return found


_BODY = _FIELDS.index("body")


def decode_results(content: bytes) -> list[Result]:
    """The Results that `encode_results` has encoded. Raises OSError."""
    values, pickled = marshal.loads(content)  # noqa: S302  # from a process that this one has started
    drafts = [_draft(one) for one in values]
    if pickled:
        for place, more in pickle.loads(pickled).items():  # noqa: S301  # as above
            if (path := more.pop("body", None)) is not None:
                with open(path, "rb") as file:
                    drafts[place].body = file.read()
                os.unlink(path)
            for name, value in more.items():
                setattr(drafts[place], name, value)
    return [finish_result(draft) for draft in drafts]
