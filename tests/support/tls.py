"""A certificate authority, and what it issues."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme


class Authority:
    """A certificate authority. `cacert` is the path of its certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.cacert = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.cacert)

    def server(self, *names: str, clients: bool = False, **options: Any) -> ssl.SSLContext:
        """The context of a server with a certificate for these names; `clients` need one too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("127.0.0.1", "localhost", "::1")), **options).configure_cert(context)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            self._ca.configure_trust(context)
        return context

    def client(self) -> tuple[str, str]:
        """The paths of a client's certificate and its key."""
        issued = self._ca.issue_cert("client@example.org")
        cert, key = str(self._folder / "client.pem"), str(self._folder / "client.key")
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        return cert, key
