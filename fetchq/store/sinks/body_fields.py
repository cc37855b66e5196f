"""Gives the values of the fields in a template for names (`--name`).

| field | value |
|---|---|
| index | the number of the row, from 0 |
| label | its label |
| host | the host of the URL, with its port if the URL names one |
| path | the path of the URL, with its folders; `index` and a suffix at the end of one that names a folder |
| query | the query of the URL, without the question mark |
| filename | the row's own file name; else that in Content-Disposition; else the last part of the path |
| stem, ext | the same without its suffix; its suffix with the dot, else the one that the media type has |
| segment | the row's own file name; else the last part of the path, `@` and the query, as wget names a file |
| sha256 | of the decoded body |

The URL is that of the request, since a server that redirects must not choose a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from fetchq.core.lazy_headers import field_reader
from fetchq.core.model import kept_headers
from fetchq.core.safe_name import split_suffix
from fetchq.http.content_disposition import suggested_name
from fetchq.store.sinks.suffixes import suffixes

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["BodyFields"]

_read_disposition = field_reader("Content-Disposition")
_HOST_NAME = str.maketrans({"[": None, "]": None, ":": "_"})


class BodyFields:
    """The fields of one body. Only those that a template has are worked out."""

    def __init__(self, result: Result, own_name: str | None) -> None:
        """`own_name`: the file name that the row has for its body; it may have folders."""
        self._result = result
        self._own_name = own_name
        rest = result.url.partition("://")[2].partition("#")[0]
        rest, _, self._query = rest.partition("?")
        host, _, self._path = rest.partition("/")
        self._host = host.rpartition("@")[2]

    def value(self, field: str) -> str | int:
        """The value of a field. Only one of `path`, and a row's own file name, have slashes."""
        value: str | int = getattr(self, f"_{field}_value")()
        return value

    def _index_value(self) -> int:
        return self._result.index

    def _label_value(self) -> str:
        return _flat(self._result.label or "")

    def _host_value(self) -> str:
        return _flat(self._host.lower().translate(_HOST_NAME))

    def _query_value(self) -> str:
        return _flat(_text(self._query))

    def _sha256_value(self) -> str:
        return self._result.sha256 or ""

    def _path_value(self) -> str:
        *folders, last = (_flat(_text(part)) for part in self._path.split("/"))
        return "/".join([*folders, last or f"index{suffixes[self._result.content_type]}"])

    def _filename_value(self) -> str:
        if self._own_name:
            return self._own_name
        suggested = suggested_name(_read_disposition(kept_headers(self._result))[0])
        return _flat(suggested or self._last()) or f"index{suffixes[self._result.content_type]}"

    def _stem_value(self) -> str:
        return split_suffix(self._filename_value())[0]

    def _ext_value(self) -> str:
        return split_suffix(self._filename_value())[1] or suffixes[self._result.content_type]

    def _segment_value(self) -> str:
        if self._own_name:
            return self._own_name
        last = _flat(self._last()) or "index.html"
        return f"{last}@{_flat(_text(self._query))}" if self._query else last

    def _last(self) -> str:
        return _text(self._path.rpartition("/")[2])


def _text(part: str) -> str:
    """A part of a URL without its percent-encoding."""
    return unquote(part, errors="replace") if "%" in part else part


def _flat(text: str) -> str:
    """A text that cannot separate folders."""
    return text.replace("/", "_")
