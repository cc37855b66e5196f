"""Encodes international host names for DNS as browsers do (UTS #46, non-transitional, as in the WHATWG URL standard).

IDNA 2008 by itself refuses emoji, and IDNA 2003 turns a sharp s into "ss", which is another host. This is the only
module that imports idna, which has the tables.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

__all__ = ["domain_to_ascii"]

_LONGEST = 1_000
"""Characters of the longest name that is encoded: a name of 253 may have some more, which are ignored."""
_JOINERS = "\u200c\u200d"
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def domain_to_ascii(name: str) -> str | None:
    """The name in ASCII and lower case; None if it is not valid.

    Length, and the characters of labels in ASCII, are left to the caller (CheckHyphens, UseSTD3ASCIIRules and
    VerifyDnsLength are false).
    """
    return _domain_to_ascii(name) if len(name) <= _LONGEST else None


@lru_cache(1024)
def _domain_to_ascii(name: str) -> str | None:
    from idna import IDNAError, check_bidi, uts46_remap

    try:
        labels = [_decoded(label) for label in uts46_remap(name, std3_rules=False).split(".")]
        if any(unicodedata.bidirectional(one) in _RIGHT_TO_LEFT for label in labels for one in label):
            for label in filter(None, labels):
                check_bidi(label, check_ltr=True)  # RFC 5893, 2: for all labels, if there is one from right to left
    except (IDNAError, UnicodeError, ValueError):
        return None
    return ".".join(_encoded(label) for label in labels)


def _decoded(label: str) -> str:
    """The label in Unicode. Raises IDNAError, and ValueError, if it is not valid (UTS #46, 4.1)."""
    from idna import check_initial_combiner, uts46_remap, valid_contextj

    if label.startswith("xn--"):
        plain = label[4:].encode("ascii").decode("punycode")
        if plain.isascii() or _encoded(plain) != label or uts46_remap(plain, std3_rules=False) != plain:
            raise ValueError("not an A-label")
        label = plain
    if label.isascii():
        return label
    check_initial_combiner(label)
    if label.startswith("xn--") or "." in label:
        raise ValueError("not a label")
    if not all(valid_contextj(label, at) for at, one in enumerate(label) if one in _JOINERS):
        raise ValueError("a joiner where it does not belong")
    return label


def _encoded(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
