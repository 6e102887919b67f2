"""Hosts to ask: a real server with pages of our choice, and one that answers with whatever bytes it is told to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

HOST = "127.0.0.1"
SOON_S = 10.0


class Pages:
    """A server whose `page` is (status, headers, body); `asked` are the requests it got."""

    def __init__(self, body: bytes = b"{}", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.page: tuple[int, dict[str, str], bytes] = (200, {}, body)
        self.asked: list[tuple[str, dict[str, str]]] = []
        pages = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                pages.asked.append((self.path, dict(self.headers)))
                status, headers, body = pages.page
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, port), Answer)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://{HOST}:{self.port}/status"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(SOON_S)

    def __enter__(self) -> Pages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Hostile:
    """Hands each connection to `answer`, once its request has come."""

    def __init__(self) -> None:
        self.answer: Callable[[socket.socket], None] = lambda connection: None
        self._listener = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, answer: bytes) -> None:
        """From now on, answer with these bytes."""
        self.answer = lambda connection: connection.sendall(answer)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SOON_S)

    def __enter__(self) -> Hostile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65_536)
                    self.answer(connection)
                except OSError:  # the sensor had enough
                    pass
