"""An IPFS daemon that cannot be trusted: passes requests on to a real one, and spoils what comes back of `cat`."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self
from urllib.parse import urlsplit

Mood = Literal["honest", "altering", "stopping half-way", "refusing"]


class LyingDaemon:
    """In front of the daemon at ``api`` (a URL); `mood` may change at any time. Use as a context."""

    def __init__(self, api: str) -> None:
        self.mood: Mood = "honest"
        self.spoilt = 0
        self._behind = urlsplit(api).netloc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.api = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = _body(self)
                behind = http.client.HTTPConnection(daemon._behind, timeout=60)
                try:
                    headers = {"Content-Type": self.headers.get("Content-Type", "")} if body else {}
                    behind.request("POST", self.path, body=body, headers=headers)
                    answer = behind.getresponse()
                    daemon._answer(self, answer.status, answer.read(), answer.getheader("Content-Type"))
                finally:
                    behind.close()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, to: BaseHTTPRequestHandler, status: int, body: bytes, kind: str | None) -> None:
        spoils = self.mood != "honest" and "/cat" in to.path and status == 200
        length = len(body)
        if spoils:
            self.spoilt += 1
            if self.mood == "altering":
                body = bytes([body[0] ^ 1]) + body[1:]
            elif self.mood == "stopping half-way":
                body = body[: length // 2]
            else:
                status, body = 500, b'{"Message":"no","Code":0,"Type":"error"}'
                length = len(body)
        to.send_response(status)
        to.send_header("Content-Type", kind or "application/octet-stream")
        to.send_header("Content-Length", str(length))
        to.send_header("Connection", "close")
        to.end_headers()
        to.wfile.write(body)
        to.close_connection = True


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body
