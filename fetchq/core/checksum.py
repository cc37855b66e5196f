"""Reads the checksum that the body of a row should have, such as `sha256:2cf24dba...`."""

from __future__ import annotations

import re

__all__ = ["digest_in", "read_checksum"]

_KIND = "sha256"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def read_checksum(given: object) -> str:
    """Parse "sha256:" and 64 hexadecimal digits. Returns it in lower case. Raises ValueError.

    SHA-256 is the only kind, since every body is hashed with it anyway, and weaker ones prove little.
    """
    if not isinstance(given, str):
        raise ValueError("the checksum is not a text")
    kind, colon, digest = given.strip().partition(":")
    kind = kind.strip().lower().replace("-", "")
    if not colon and _DIGEST.fullmatch(kind):
        raise ValueError("the checksum does not say its kind: sha256:...")
    if kind != _KIND:
        shown = kind[:20] if kind.isalnum() and kind.isascii() else "this"
        raise ValueError(f"the checksum is of a kind that fetchq does not know ({shown}); it knows sha256:...")
    if not _DIGEST.fullmatch(digest.strip()):
        raise ValueError("the checksum is not sha256: with 64 hexadecimal digits")
    return f"{_KIND}:{digest.strip().lower()}"


def digest_in(checksum: str) -> str:
    """The hexadecimal digits of a checksum that `read_checksum` has returned."""
    return checksum.partition(":")[2]
