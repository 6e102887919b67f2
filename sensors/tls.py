"""Whom to trust on an encrypted connection, and who we are there."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and who we are. Certificates are always verified; there is no switch to turn it off."""

    ca_file: Path | None = None  # None: the authorities this system trusts
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> Context:
        """Raises OSError or ssl.SSLError, naming the file, when one cannot be read."""
        made = Context(ssl.PROTOCOL_TLS_CLIENT)  # which verifies certificate and name
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is None:
            made.load_default_certs()
        for path in (self.ca_file, self.cert_file, self.key_file):
            if path is None:
                continue
            with open(path, "rb"):  # for an error that names the file, which OpenSSL's does not
                pass
            try:
                if path == self.ca_file:
                    made.load_verify_locations(path)
                elif path == self.cert_file:
                    # Without a password function OpenSSL would ask for one on the terminal.
                    made.load_cert_chain(path, self.key_file, password=lambda: b"")
            except ssl.SSLError as error:
                raise OSError(0, f"not what it should be ({error.reason or error})", str(path)) from error
        return made


class Context(ssl.SSLContext):
    """Remembers the last socket it secured: paho leaves it open when the handshake fails."""

    last: ssl.SSLSocket | None = None

    def wrap_socket(self, *given: Any, **named: Any) -> ssl.SSLSocket:
        self.last = super().wrap_socket(*given, **named)
        return self.last

    def abandon(self) -> None:
        if self.last is not None:
            self.last.close()
