"""A daemon that misbehaves on purpose: answers each request with the bytes that a test gives."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

Answer = bytes | Iterable[bytes] | None
VERSION = b'{"Version":"0.29.0"}'


def reply(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    """An HTTP answer; `length` may promise more than the body holds."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length or len(body)}\r\n\r\n"
    return head.encode() + body


def failure(message: str) -> bytes:
    """An error as Kubo reports it."""
    body = f'{{"Message":"{message}","Code":0,"Type":"error"}}'
    return reply(body.encode(), "500 Internal Server Error")


class BadDaemon:
    """Listens on a free port; `answers` maps a command such as "cat" to an answer, or to a function that makes one.

    An answer of None says nothing and leaves the connection open; an empty one closes it. Several pieces are sent one
    by one, and the connection is closed after them. Use as a context.
    """

    def __init__(self, **answers: Answer | Callable[[], Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.bytes_sent = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self._connections: list[socket.socket] = []
        self.api = f"/ip4/127.0.0.1/tcp/{self._listening.getsockname()[1]}"

    def __enter__(self) -> BadDaemon:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for connection in (self._listening, *self._connections):
            connection.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while request := _read_request(connection):
                self.asked.append(request)
                answer = self.answers.get(request, reply(VERSION) if request == "version" else b"")
                if callable(answer):
                    answer = answer()
                if answer is None:
                    self._stopped.wait(30)
                    return
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                    if not answer:
                        break
                    continue
                for piece in answer:
                    connection.sendall(piece)
                    self.bytes_sent += len(piece)
                break
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        except OSError:
            return


def _read_request(connection: socket.socket) -> str:
    """Reads one request with its body; returns its command, or an empty text at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return ""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
    return urlsplit(head.split(b" ")[1].decode()).path.removeprefix("/api/v0/")
