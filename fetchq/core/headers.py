"""Defines the header fields of a Result: a case-insensitive mapping that can be copied and pickled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

__all__ = ["Headers", "headers_of"]


class Headers(CIMultiDictProxy[str]):
    """Header or trailer fields, in the order of the response, of which a name may have several.

    `headers["Set-Cookie"]` is the first value of a name in any case, `headers.getall("Set-Cookie")` all of them.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[object, ...]:  # type: ignore[override]  # multidict's own views refuse to be copied
        return headers_of, (list(self.items()),)

    @property
    def __pydantic_serializer__(self) -> Any:
        from fetchq.core.pydantic_schema import dict_serializer

        return dict_serializer()


def headers_of(fields: Iterable[tuple[str, str]] = ()) -> Headers:
    """The fields of these names and values."""
    return Headers(CIMultiDict(fields))
