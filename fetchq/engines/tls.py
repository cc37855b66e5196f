"""Makes the TLS contexts of a run, the same for all engines, so that they trust the same certificate authorities."""

from __future__ import annotations

import os
import ssl
import threading
from functools import lru_cache

from fetchq.core.settings import Settings, SettingsError

__all__ = ["TlsContexts", "tls_context"]

_system_lock = threading.Lock()


class TlsContexts:
    """The TLS contexts of a run: one with the client certificate, and one without. Any thread may use them.

    The certificate authorities of the system are loaded when they are first needed, and once in a process, since that
    takes 20 ms or more. Files that the settings name are loaded at once, so that a wrong one is found before the first
    request.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError` if a certificate file cannot be used."""
        self._settings = settings
        self._loaded: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
        if settings.cacert is not None or settings.cert is not None:
            self.load()

    def get(self, *, anonymous: bool) -> ssl.SSLContext | None:
        """The context with the client certificate or, if `anonymous`, without; None if they are not loaded yet."""
        return None if self._loaded is None else self._loaded[anonymous]

    def load(self) -> None:
        """Load the contexts, unless they are loaded already."""
        settings = self._settings
        if self._loaded is not None:
            return
        if settings.cacert is None and settings.cert is None:
            with _system_lock:
                self._loaded = (_system_context(settings.insecure, *map(os.environ.get, _STORE_VARIABLES)),) * 2
        elif settings.cert is None:
            self._loaded = (tls_context(settings),) * 2
        else:
            self._loaded = tls_context(settings), tls_context(settings, anonymous=True)


_STORE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables by which OpenSSL finds the certificate authorities of the system."""


@lru_cache(maxsize=8)
def _system_context(insecure: bool, *_: str | None) -> ssl.SSLContext:
    """The context of all runs in this process without a certificate file. The other arguments are the variables."""
    return tls_context(Settings(insecure=insecure))


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
