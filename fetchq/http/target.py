"""Defines the target of a request: a URL that was parsed and checked."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult

from yarl import URL

__all__ = ["Origin", "Target"]

_split_result = tuple.__new__


class Origin(NamedTuple):
    """What the URLs of a server begin with, as it was written. `fetchq.http.url.origin` tells whether two are equal."""

    scheme: str
    """http or https."""
    authority: str
    """The host, IDNA-encoded and in lower case, with the port as it was written."""


class Target:
    """The URL that a request is sent to."""

    __slots__ = ("_url", "authorization", "origin", "origin_form", "text")

    def __init__(
        self, origin: Origin, text: str, origin_form: str, authorization: str | None = None, url: URL | None = None
    ) -> None:
        self.origin = origin
        self.text = text
        """The URL as it was written."""
        self.origin_form = origin_form
        """Path and query as the request line has them (RFC 9112, 3.2.1). yarl would drop a `?` that nothing follows."""
        self.authorization = authorization
        """The Authorization header made from the URL's userinfo; None if it had none."""
        self._url = url

    @property
    def url(self) -> URL:
        """Absolute, http or https, without userinfo and fragment. Made when it is first needed: most rows need none."""
        if self._url is None:
            path, _, query = self.text[len(self.origin.scheme) + 3 + len(self.origin.authority) :].partition("?")
            # yarl would split the text once more.
            self._url = URL(_split_result(SplitResult, (*self.origin, path, query, "")), encoded=True)
        return self._url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash(self._facts)

    @property
    def _facts(self) -> tuple[str, str, str | None]:
        return self.text, self.origin_form, self.authorization
