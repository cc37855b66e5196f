"""Finds out whose code a thread runs: fetchq's, a library's, or that of the program which uses fetchq."""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["CodePlace", "depth_of", "running_user_code"]

_OWN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_LIBRARIES = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
"""The folders of the standard library and of installed packages."""


@dataclass(frozen=True, slots=True)
class CodePlace:
    """A function, and where it is."""

    function: str
    file: str
    """The name of the file, without its folder."""
    first_line: int


def depth_of(frame: FrameType | None) -> int:
    """How many frames there are from this one down to the first one of its thread."""
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    return depth


def running_user_code(frame: FrameType, below: int) -> tuple[CodePlace, int] | None:
    """The function of the user's program in which a thread is, and the line that it runs; None if fetchq has called it.

    That is the innermost function outside of libraries, unless that one is fetchq's. `frame`: the thread's innermost
    frame. `below`: how many of its frames are not looked at, such as those that run the event loop.
    """
    left = depth_of(frame) - below
    current: FrameType | None = frame
    while left > 0 and current is not None:
        code, module = current.f_code, current.f_globals.get("__name__")
        path = code.co_filename
        if path.startswith(_OWN):
            return None
        # Code without a file is the user's in an interactive session, and otherwise generated, as by dataclasses.
        if module == "__main__" if path.startswith("<") else not path.startswith(_LIBRARIES):
            name = code.co_qualname.rpartition("<locals>.")[2]
            return CodePlace(name, os.path.basename(path), code.co_firstlineno), current.f_lineno
        current = current.f_back
        left -= 1
    return None
