"""The entries of the table, and how the modules of faults fill it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from faults.wire import HELLO, Asked, Connection

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from faults.site import Site


class Then(StrEnum):
    """What becomes of the connection once a fault's bytes are sent."""

    STAYS = "stays"
    """It answers further requests, so that a test can see whether the client dared to send one."""
    CLOSES = "closes"
    RESETS = "resets"
    HANGS = "hangs"


Play = Callable[[Connection, Asked], None]
Expect = str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One thing that a server, or what leads to it, may do, and what a client must make of it."""

    name: str
    theme: str
    rule: str
    """The section it breaks or leans on, and what it does. A bare number is of RFC 9112; in the themes redirect,
    content and bombs of RFC 9110."""
    expect: Expect
    """The cause; None is ok. A tuple where several are right ("ok" among them), but all engines must give the same."""
    status: int = 200
    """The final status, where the result is ok."""
    body: bytes | None = HELLO
    """The decoded body, where the result is ok; None: do not compare."""
    complete: str | None = None
    """`Result.complete`, where the entry is about it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `fetchq.Settings` that make it show, and soon."""

    @property
    def allowed(self) -> frozenset[str | None]:
        """The causes that are right; None is ok."""
        several = self.expect if isinstance(self.expect, tuple) else (self.expect,)
        return frozenset(None if one == "ok" else one for one in several)

    @property
    def demanded(self) -> str:
        """The causes that are right, in words."""
        return " or ".join(sorted(one or "ok" for one in self.allowed))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fault(Entry):
    """One way for a server to answer a request, on a connection in clear."""

    play: Play = field(repr=False)
    wire: bytes | Callable[[], bytes] | None = field(default=None, repr=False)
    """Every byte it sends, where that is fixed."""
    then: Then | None = None
    """What follows `wire`; None where `play` decides."""
    reusable: bool = False
    """A client that took the answer as ok may send its next request on the same connection."""
    method: str = "GET"
    query: str = ""
    """Parameters to ask with; others override them."""

    @property
    def target(self) -> str:
        return f"/fault/{self.name}" + (f"?{self.query}" if self.query else "")

    def sends(self) -> bytes | None:
        """`wire`, computed where it needs a library."""
        return self.wire() if callable(self.wire) else self.wire


Opens = Callable[["Site"], "AbstractContextManager[str]"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place(Entry):
    """What goes wrong before a request is answered, or between two servers: it has ports of its own."""

    opens: Opens = field(repr=False)
    """Opens its ports, and yields the URL to ask for."""


class Facts(TypedDict, total=False):
    """The fields of a Fault that have defaults."""

    status: int
    body: bytes | None
    complete: str | None
    reusable: bool
    method: str
    query: str
    settings: Mapping[str, Any]


class PlaceFacts(TypedDict, total=False):
    """The fields of a Place that have defaults."""

    status: int
    body: bytes | None
    complete: str | None
    settings: Mapping[str, Any]


class Theme:
    """Collects the faults of one module."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.places: list[Place] = []

    def sends(
        self,
        name: str,
        rule: str,
        expect: Expect,
        wire: bytes | Callable[[], bytes],
        then: Then = Then.STAYS,
        **facts: Unpack[Facts],
    ) -> None:
        """A fault that sends fixed bytes. Unless told otherwise it is `reusable` when ok is right and it stays."""

        def play(conn: Connection, _asked: Asked) -> None:
            conn.send(wire() if callable(wire) else wire)
            _THEN[then](conn)

        one = Fault(name=name, theme=self.name, rule=rule, expect=expect, play=play, wire=wire, then=then, **facts)
        if "reusable" not in facts:
            fine = then is Then.STAYS and bool(one.allowed & {None, "status"})
            object.__setattr__(one, "reusable", fine)
        self.faults.append(one)

    def plays(self, expect: Expect, **facts: Unpack[Facts]) -> Callable[[Play], Play]:
        """Decorates a fault that is a function; its name and its docstring are the fault's name and rule."""

        def add(play: Play) -> Play:
            name = play.__name__.replace("_", "-")
            rule = (play.__doc__ or "").strip()
            self.faults.append(Fault(name=name, theme=self.name, rule=rule, expect=expect, play=play, **facts))
            return play

        return add

    def place(self, expect: Expect, **facts: Unpack[PlaceFacts]) -> Callable[[Opens], Opens]:
        """Decorates a function that opens a place; its name and its docstring are the entry's name and rule."""

        def add(opens: Opens) -> Opens:
            name = opens.__name__.replace("_", "-")
            rule = (opens.__doc__ or "").strip()
            self.places.append(Place(name=name, theme=self.name, rule=rule, expect=expect, opens=opens, **facts))
            return opens

        return add


_THEN: dict[Then, Callable[[Connection], None]] = {
    Then.STAYS: lambda _: None,
    Then.CLOSES: Connection.close,
    Then.RESETS: Connection.reset,
    Then.HANGS: Connection.hang,
}
