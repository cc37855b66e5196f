"""Defines `Request`: what one row of the input asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any

from fetchq.core.fast_dataclass import fast_constructor
from fetchq.core.text import redact_url
from fetchq.core.unlisted_fields import every_value, set_every_value, unlist_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fetchq.core.stored_response import StoredResponse

__all__ = ["OnStart", "Request", "make_request"]


@dataclass(frozen=True, slots=True)
class Request:
    """One row of the input: a URL, and how to fetch it.

    Where the method or the body is None, that of the run's `Settings` is used. The headers are added to those of the
    run, and replace those with the same name.

    The last five arguments become part of the URL, the headers and the body when the Request is made, as in httpx:
    `json`, a body of any JSON values; `params`, a mapping or pairs that are added to the query; `auth`,
    "user:password" or the two; `bearer`, a token; and `cookies`, a mapping. Where that is impossible, the Request gets
    a `problem`.
    """

    url: str
    index: int = 0
    """The row's number in the input, from 0. A run numbers its requests itself."""
    method: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    label: str | None = None
    """Any text that the caller likes; it is copied into the Result."""
    problem: str | None = None
    """Why the row is unusable, if reading the input has shown that it is. Its Result has the cause `invalid_url`."""
    _stored_response: StoredResponse | None = field(default=None, repr=False, compare=False)
    """The response that the run given as `refresh` has stored. A run looks it up itself."""
    priority: int = 0
    """From -1,000,000 to 1,000,000. Among the requests to one host, those with a higher priority go first."""
    _duplicate_of: int | None = field(default=None, repr=False, compare=False)
    """The earlier row with an equal request (`dedupe`), whose Result this row gets. A run sets it itself."""
    _part: str | None = field(default=None, repr=False, compare=False)
    """The path of the beginning of the body that an earlier session has kept. A run looks it up itself."""
    checksum: str | None = None
    """What the decoded body must have: "sha256:" and 64 hexadecimal digits. If not, the cause is `checksum`."""
    filename: str | None = None
    """The name that the row gives its file, as text of the user; the template of a run's names may use it."""
    passed: str | None = None
    """Other columns of the row that are copied into the Result, as the text of a JSON object. Callers give a mapping
    of JSON values."""

    json: InitVar[Any] = None
    params: InitVar[Any] = None
    auth: InitVar[Any] = None
    bearer: InitVar[str | None] = None
    cookies: InitVar[Any] = None

    if TYPE_CHECKING:  # the fields have the types that a run works with; callers may pass other ones, too

        def __init__(
            self,
            url: str,
            index: int = 0,
            method: str | None = None,
            headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
            body: bytes | None = None,
            label: str | None = None,
            problem: str | None = None,
            priority: int | str = 0,
            checksum: str | None = None,
            filename: str | None = None,
            passed: Mapping[str, Any] | str | None = None,
            json: Any = None,
            params: Mapping[str, Any] | Sequence[tuple[str, Any]] | str | None = None,
            auth: str | tuple[str, str] | None = None,
            bearer: str | None = None,
            cookies: Mapping[str, str] | Sequence[tuple[str, str]] | str | None = None,
        ) -> None: ...

    def __post_init__(self, json: Any, params: Any, auth: Any, bearer: str | None, cookies: Any) -> None:
        if json is None and params is None and auth is None and bearer is None and cookies is None:
            return
        from fetchq.core.parsers import header_pairs
        from fetchq.core.request_parts import complete_parts

        try:
            url, headers, body = complete_parts(
                self.url,
                header_pairs(self.headers),
                self.body,
                json=json,
                params=params,
                auth=auth,
                bearer=bearer,
                cookies=cookies,
            )
        except ValueError as problem:
            object.__setattr__(self, "problem", self.problem or str(problem))
            return
        for name, value in (("url", url), ("headers", headers), ("body", body)):
            object.__setattr__(self, name, value)

    __getstate__ = every_value
    __setstate__ = set_every_value

    def __repr__(self) -> str:
        url = redact_url(self.url)
        return f"Request(index={self.index}, url={url!r}, method={self.method!r}, label={self.label!r})"


OnStart = Callable[[Request, int], object]
"""Called with a request and the number of the worker that begins an attempt at it.

In a run with an event loop an awaitable return value is awaited; others are ignored.
"""

unlist_fields(Request, "_stored_response", "_duplicate_of", "_part")
make_request = fast_constructor(Request)
"""Makes a Request three times as fast as its class, without the arguments that are no fields."""
