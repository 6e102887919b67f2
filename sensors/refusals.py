"""Why a broker cannot be reached, in words that say what to do about it."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

TAKEN_OVER = 0x8E  # "session taken over", MQTT 5.0, table 2-6
GONE = "the broker closed the connection"
NO_BROKER = "what answers there is no MQTT broker, or a broken one"
BAD_VERSION = 0x84  # "unsupported protocol version"; paho gives it for 3.1.1's return code 1 too

# X509_V_ERR_*, openssl/x509_vfy.h
NOT_YET_VALID, EXPIRED, HOSTNAME_MISMATCH, IP_MISMATCH = 9, 10, 62, 64
UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)


def unreachable(error: OSError | ValueError, host: str, port: int, timeout_s: float, *, tls: bool) -> str:
    """Why no connection, or no TLS on it, came about."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {_distrusted(error, host)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {_handshake(error, where)}"
    if isinstance(error, socket.gaierror):
        return f"the host name {host} is not known here ({error.strerror})"
    if isinstance(error, TimeoutError):
        return f"no answer from {where} within {timeout_s:g} s"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {where} (connection refused)"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        if tls:
            return f"TLS: {where} closed the connection during the handshake; is it the port without TLS?"
        return f"{where} closed the connection at once"
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
        return f"no network leads to {where} ({error.strerror})"
    return f"{where}: {error}"


def _distrusted(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in UNKNOWN_AUTHORITY:
        why = error.verify_message
        return f"the certificate of {host} is not signed by the authority given (ca_file): {why}"
    if error.verify_code in (HOSTNAME_MISMATCH, IP_MISMATCH):
        return f"the certificate is made out to another name than {host}"
    if error.verify_code in (EXPIRED, NOT_YET_VALID):
        word = "has expired" if error.verify_code == EXPIRED else "is not valid yet"
        return f"the certificate of {host} {word}; here it is {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    return f"the certificate of {host} cannot be verified: {error.verify_message}"


def _handshake(error: ssl.SSLError, where: str) -> str:
    reason = error.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return f"{where} does not speak TLS; is it the port without TLS?"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "UNEXPECTED_EOF" in reason:
        return f"{where} closed the connection during the handshake; is it the port without TLS?"
    return _alert(reason) or f"{where}: {error}"


def _alert(text: str) -> str:
    """What the broker has against our certificate, from OpenSSL's name of a TLS alert in a text; else ""."""
    if "CERTIFICATE_REQUIRED" in text or "HANDSHAKE_FAILURE" in text:
        return "the broker wants a client certificate (cert_file, key_file)"
    found = re.search(r"ALERT_(\w+)", text)
    return (
        f"the broker does not accept our certificate: {found[1].lower().replace('_', ' ')}" if found else ""
    )


def refused(code: ReasonCode, username: str, client_id: str) -> str:
    """Why the broker answered, and said no."""
    name = code.getName()
    value = code.value
    if value in (0x86, 0x87):
        who = f"user {username}" if username else "a client without a user name"
        what = "bad user name or password" if value == 0x86 else "not authorized"
        return f"the broker refuses {who}: {what}"
    if value == BAD_VERSION:
        return "the broker does not speak this version of MQTT"
    if value == 0x85:
        return f"the broker does not accept the client id {client_id}"
    if value in (0x88, 0x89, 0x97):
        return f"the broker has no room now: {name.lower()}"
    return f"the broker refuses: {name.lower()}"


def taken_over(client_id: str) -> str:
    return f"another client connected with our client id {client_id}; two clients need two ids"


def dropped(code: ReasonCode, client_id: str, *, by_broker: bool, greeted: bool, log: str = "") -> str:
    """Why a connection has gone. Not `by_broker`: the code is paho's own, not one that was sent."""
    if not greeted and _alert(log):
        return f"TLS: {_alert(log)}"
    if code.value == TAKEN_OVER:
        return taken_over(client_id)
    if by_broker:
        return f"the broker ended the connection: {code.getName().lower()}"
    if code.value == 0x8D:  # keep alive timeout
        return "the broker no longer answers"
    if code.value == 0x82:  # protocol error
        return NO_BROKER
    if not greeted:
        return "the connection was closed before the broker said a word: is it an MQTT broker?"
    return GONE
