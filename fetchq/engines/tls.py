"""Makes the TLS contexts of a run, the same for all engines, so that they trust the same certificate authorities."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from fetchq.core.settings import SettingsError

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["tls_context"]


def tls_context(settings: Settings, *, anonymous: bool = False) -> ssl.SSLContext:
    """The TLS context for the settings; `anonymous`: without the client certificate.

    Raises `SettingsError` if a certificate file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.cacert)
    except (ssl.SSLError, OSError) as problem:
        raise SettingsError("cacert", f"no certificates in {settings.cacert!r} ({problem})") from None
    if settings.cacert is None and not _system_has_authorities():
        import certifi

        context.load_verify_locations(certifi.where())
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert is not None and not anonymous:
        try:
            # Without a password, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(settings.cert, settings.key, password="")
        except (ssl.SSLError, OSError) as problem:
            raise SettingsError("cert", f"no certificate and key in {settings.cert!r} ({problem})") from None
    # As Python has it, but for builds that leave it to OpenSSL's configuration, Debian's for example (RFC 8996).
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _system_has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and bool(os.listdir(paths.capath)))
