"""Makes names of files that are safe on every file system: visible, not reserved, and not too long."""

from __future__ import annotations

import re
from unicodedata import normalize

from fetchq.core.text import is_visible

__all__ = ["numbered_name", "safe_name", "shortened_name", "split_suffix"]

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+-]*[A-Za-z0-9_@+-])?")
"""Names that are safe unless they are reserved."""
_FORBIDDEN = frozenset('/\\:*?"<>|#')
"""What separates the parts of a path, what Windows does not take in a name, and the mark in the `path` of a record."""
_RESERVED = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{device}{number}" for device in ("COM", "LPT") for number in "0123456789\xb9\xb2\xb3"}
)
"""The devices of Windows, whose names may have any suffix there (Win32, Naming Files)."""
_SUFFIX = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]{1,8}\Z")


def safe_name(text: str) -> str:
    """The text as the name of a file or a folder, with `_` in place of what is not safe in one; never empty.

    The name is not hidden, no option of a command (a dash comes first), and no device of Windows; no character in it is
    invisible. Letters of all scripts stay as they are (Unicode NFC).
    """
    if not _PLAIN.fullmatch(text):
        name = normalize("NFC", text)
        name = "".join(one if one not in _FORBIDDEN and is_visible(one) else "_" for one in name)
        name = name.strip(" ").rstrip(". ") or "_"
        text = f"_{name[1:]}" if name[0] in ".-" else name
    return f"_{text}" if text.partition(".")[0].rstrip(" ").upper() in _RESERVED else text


def split_suffix(name: str) -> tuple[str, str]:
    """The stem and the suffix of a name, such as ("page", ".html") and ("all", ".tar.gz")."""
    found = _SUFFIX.search(name)
    return (name[: found.start()], found[0]) if found and found.start() else (name, "")


def shortened_name(name: str, longest: int) -> str:
    """A safe name of at most `longest` bytes in UTF-8. The suffix stays."""
    if len(name.encode()) <= longest:
        return name
    stem, suffix = split_suffix(name)
    cut = stem.encode()[: longest - len(suffix)].decode("utf-8", "ignore")
    return f"{cut.rstrip('. ') or '_'}{suffix}"


def numbered_name(name: str, number: int) -> str:
    """The name with a number before its suffix, such as page.1.html; with 0, the name itself."""
    if not number:
        return name
    stem, suffix = split_suffix(name)
    return f"{stem}.{number}{suffix}"
