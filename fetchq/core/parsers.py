"""Parses settings other than numbers: headers, methods, paths, proxies, addresses, flags and choices.

Each parser takes a text, or a value that already has the right type, and raises ValueError with a message for people.
`fetchq.core.quantities` parses numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fetchq.core.nearest import hint
from fetchq.core.text import redact_all

# Not compiled at import, since `fetchq --help` needs none of these; re caches what it has compiled.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token of RFC 9110, 5.6.2
_PROXY = r"(https?|socks(?:5h?|4a?))(://(?:([^\s/?#@]*)@)?(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\]))(?::([0-9]{1,5}))?/?"
"""Groups: scheme, userinfo and host, userinfo, port."""
_FRAMING_HEADERS = ("content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect")
"""Headers that frame the message or belong to the connection; fetchq sets them (RFC 9112, 6; RFC 9110, 7.6.1)."""
_UNSENDABLE = r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]"
"""Control characters other than the tab, and lone surrogates."""
SAVES = ("files", "warc", "parquet", "none")
"""The values of the setting `save`."""
HOST_KEYS = ("host", "domain", "ip")
"""The values of the setting `per_host_by`."""
_EXTRAS = {
    "warc": "warcio",
    "parquet": "pyarrow",
    "domain": "publicsuffixlist",
    "socks": "python-socks",
}
"""The package that each optional extra installs, as in `pip install fetchq[warc]`."""


class MissingPackageError(ValueError):
    """A setting needs a package that is not installed. The message says how to install it."""


def read_text(given: object) -> str:
    """Parse a text, which may hold tabs, but no other control characters and no lone surrogates."""
    if not isinstance(given, str):
        raise ValueError("that is not a text")
    if re.search(_UNSENDABLE, given):
        raise ValueError("there is a character in it that cannot be sent")
    return given


def read_path(given: object) -> str:
    """Parse the path of an existing file. Returns the absolute path."""
    import os

    if not isinstance(given, str | os.PathLike):
        raise ValueError(f"{given!r} is not a path")
    if not os.path.isfile(given):
        raise ValueError(f"there is no file {os.fspath(given)!r}")
    return os.path.abspath(given)  # a run may be resumed from another folder


def read_folder(given: object) -> str:
    """Parse the path of a folder, which need not exist. Returns the path as it was given."""
    import os

    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise ValueError(f"{given!r} is not a path")
    path = os.fspath(given)
    if not isinstance(path, str) or "\0" in path:
        raise ValueError("that is not a path")
    return path


def read_file_name(given: object) -> str:
    """Parse the path of a file, which need not exist. Returns the absolute path."""
    import os

    path = os.path.abspath(read_folder(given))
    if os.path.isdir(path):
        raise ValueError(f"{path!r} is a folder")
    return path


def read_run(given: object) -> str:
    """Parse the path of a run's folder. Returns the absolute path."""
    import os

    return os.path.abspath(read_folder(given))


def read_flag(given: object) -> bool:
    """Parse a bool, or one of 1, true, yes, on, 0, false, no and off in any case; an empty text is false."""
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and given.strip().lower() in ("1", "true", "yes", "on"):
        return True
    if isinstance(given, str) and given.strip().lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"{given!r} is neither true nor false")


_LONGEST_METHOD = 64
"""Characters; the longest that is registered has 17 (IANA, HTTP Methods)."""


def read_method(given: object) -> str:
    """Parse an HTTP method (a token; RFC 9110, 9.1). Returns it in upper case; CONNECT and TRACE are refused."""
    if not isinstance(given, str) or len(given) > _LONGEST_METHOD or not re.fullmatch(_NAME, given):
        raise ValueError(f"{given!r} is not an HTTP method")
    if given.upper() in ("CONNECT", "TRACE"):
        raise ValueError(f"{given.upper()} cannot be fetched")
    return given.upper()


def read_data(given: object) -> bytes:
    """Parse a body: bytes, or a text, which is encoded as UTF-8."""
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return given.encode("utf-8", "surrogateescape")
    raise ValueError("that is neither text nor bytes")


def read_headers(given: object) -> tuple[tuple[str, str], ...]:
    """Parse headers: "Name: value" texts, (name, value) pairs or a mapping."""
    if isinstance(given, Mapping):
        given = given.items()
    if isinstance(given, str):
        given = given.splitlines()
    if not isinstance(given, Iterable):
        raise ValueError("that is not a list of headers")
    return tuple(_read_header(one) for one in given)


def header_pairs(given: object) -> tuple[tuple[str, str], ...]:
    """The pairs of headers that are a mapping or pairs already. Only `read_headers` checks whether they can be sent.

    The message of the ValueError leaves the headers out, since they may be secrets.
    """
    pairs = given.items() if isinstance(given, Mapping) else given
    found = []
    for pair in pairs if isinstance(pairs, Iterable) and not isinstance(pairs, str | bytes) else (None,):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ValueError("headers are pairs of a name and a value, both texts")
        found.append((str(pair[0]), str(pair[1])))
    return tuple(found)


def _read_header(given: object) -> tuple[str, str]:
    if isinstance(given, str):
        name, colon, value = given.partition(":")
        if not colon:
            raise ValueError("a header is given as 'Name: value'")  # the text is left out, it may be a secret
    else:
        try:
            pair: Any = given
            name, value = pair
        except (TypeError, ValueError):
            raise ValueError("a header is a name and a value") from None
    if not isinstance(name, str) or not isinstance(value, str) or not re.fullmatch(_NAME, name):
        raise ValueError("that is not a header name")
    if name.lower() in _FRAMING_HEADERS:
        raise ValueError(f"the header {name} is fetchq's own to send")
    if re.search(_UNSENDABLE, value):
        raise ValueError(f"the header {name} has a control character in its value")
    return name, value.strip(" \t")


def read_proxy(given: object) -> str:
    """Parse a proxy: the URL of an HTTP or SOCKS proxy, or "HOST:PORT" of an HTTP proxy. Returns the URL.

    Where a SOCKS proxy is given and the package that it needs is missing, the error says how to install it.
    """
    text = read_text(given)
    if "://" not in text and re.search(r":[0-9]+/?$", text):
        text = "http://" + text
    match = re.fullmatch(_PROXY, text, re.IGNORECASE | re.ASCII)
    if match is None or not 0 < int(match[4] or 80) < 65536:
        raise ValueError("a proxy is given as http://host:port, with http, https, socks5h, socks5, socks4a or socks4")
    scheme = match[1].lower()
    if not scheme.startswith("socks"):
        return scheme + text[match.end(1) :]
    _check_socks_userinfo(scheme, match[3])
    _require_extra("socks")
    return f"{scheme}{match[2]}:{match[4] or 1080}"


def _check_socks_userinfo(scheme: str, userinfo: str | None) -> None:
    """Raise ValueError if a SOCKS proxy cannot be told this user and password (RFC 1929, 2)."""
    from urllib.parse import unquote

    if userinfo is None:
        return
    user, colon, password = userinfo.partition(":")
    if scheme.startswith("socks4") and colon:
        raise ValueError("SOCKS 4 has users, but no passwords")
    parts = [user] if scheme.startswith("socks4") else [user, password]
    if not all(re.fullmatch("[ -~]{1,255}", unquote(part)) for part in parts):
        raise ValueError("the user and the password of a SOCKS proxy are 1 to 255 ASCII characters each")


def read_user(given: object) -> str:
    """Parse "NAME:PASSWORD"."""
    text = read_text(given)
    if ":" not in text:
        raise ValueError("a user is given as NAME:PASSWORD")
    return text


def read_resolve(given: object) -> tuple[tuple[str, int, str], ...]:
    """Parse "HOST:PORT:ADDRESS" texts, like those of curl's --resolve, or (host, port, address) triples."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{given!r} is not a list of HOST:PORT:ADDRESS")
    return tuple(_read_resolve(one) for one in given)


def _read_resolve(given: object) -> tuple[str, int, str]:
    import ipaddress

    try:
        parts: Any = given.split(":", 2) if isinstance(given, str) else given
        host, port, address = str(parts[0]).lower(), int(parts[1]), str(ipaddress.ip_address(parts[2].strip("[]")))
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError):
        raise ValueError(
            f"{redact_all(str(given))!r} is not HOST:PORT:ADDRESS, such as example.org:443:127.0.0.1"
        ) from None
    if not host or not 1 <= port <= 65535:
        raise ValueError(f"{redact_all(str(given))!r} has no host, or a port that is none")
    return host, port, address


def choice_of(*words: str) -> Callable[[object], str]:
    """A parser that accepts one of these words."""

    def read_choice(given: object) -> str:
        if given not in words:
            raise ValueError(f"{given!r} is not one of {', '.join(words)}{hint(str(given), words)}")
        return str(given)

    return read_choice


def choices_of(*words: str) -> Callable[[object], tuple[str, ...]]:
    """A parser that accepts one or several of these words, and drops duplicates."""
    read_one = choice_of(*words)

    def read_choices(given: object) -> tuple[str, ...]:
        if not isinstance(given, Iterable):
            raise ValueError(f"{given!r} is not a list")
        given = [given] if isinstance(given, str) else given
        return tuple(dict.fromkeys(read_one(one) for one in given))

    return read_choices


def read_column_names(given: object) -> tuple[str, ...]:
    """Parse the names of columns, and drop duplicates."""
    if not isinstance(given, Iterable):
        raise ValueError(f"{given!r} is not a list")
    names = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("a column has a name")
    return tuple(dict.fromkeys(names))


def read_save(given: object) -> str:
    """Parse one of `SAVES`. Where the package that it needs is missing, the error says how to install it."""
    save = choice_of(*SAVES)(given)
    if save in _EXTRAS:
        _require_extra(save)
    return save


def read_name_template(given: object) -> str:
    """Parse a template for the names of files. Returns it as it was given."""
    from fetchq.core.name_template import NameTemplate  # here, since few runs need it

    NameTemplate(text := read_text(given))
    return text


def read_per_host_by(given: object) -> str:
    """Parse one of `HOST_KEYS`. Where the package that it needs is missing, the error says how to install it."""
    if (key := choice_of(*HOST_KEYS)(given)) in _EXTRAS:
        _require_extra(key)
    return key


def _require_extra(extra: str) -> None:
    from importlib.util import find_spec

    if find_spec((package := _EXTRAS[extra]).replace("-", "_")) is None:
        raise MissingPackageError(
            f"{extra} needs the package {package}; install it with: pip install 'fetchq[{extra}]'"
        )
