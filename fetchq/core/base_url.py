"""Parses the URL that the relative links of a page are relative to."""

from __future__ import annotations

import re

__all__ = ["read_base_url"]


def read_base_url(given: object) -> str:
    """Parse an absolute URL with the scheme http or https. The message of the ValueError leaves it out.

    A password would be part of all the links, and of the records of a run.
    """
    if not isinstance(given, str) or not re.fullmatch(r"https?://[^\s/?#@]+(?:[/?#]\S*)?", given, re.IGNORECASE):
        raise ValueError("a base URL begins with http:// or https:// and has no password, as https://example.org/docs/")
    return given
