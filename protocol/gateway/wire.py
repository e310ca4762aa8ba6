"""pynetdicom's server within bounds: whoever connects can hold up neither the others nor the memory.

Three things that pynetdicom 3.0 leaves open: its TLS handshake is made by the thread that accepts connections, a PDU or
message may be of any length and take any time, and nothing can follow a response.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from socketserver import BaseServer
from typing import Any

from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10.0
NETWORK_SECONDS = 60.0
#: For one message: a gigabyte at 5 MB/s takes 200 seconds.
MESSAGE_SECONDS = 900.0
#: What we take in a piece, and tell so; association requests with many contexts are longer.
PDU_BYTES = 1 << 17
MAX_PDU_BYTES = 1 << 20
#: A command has some hundred bytes.
MAX_COMMAND_BYTES = 1 << 16
# One message is answered before the next is sent (PS3.7, D.3.3.3).
_WAITING_MESSAGES = 4

# What pynetdicom logs quotes values of patients.
_logger = logging.getLogger("pynetdicom")
_logger.propagate = False
_logger.handlers = [logging.NullHandler()]
_logger.setLevel(logging.CRITICAL + 1)
_config.LOG_HANDLER_LEVEL = "none"


class Server(ThreadedAssociationServer):
    """A server for associations. ``context`` makes a fresh TLS context for each connection, None is plain TCP;
    ``max_connections``: those whose association is not made yet among them; ``max_message_bytes``: of one instance."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        *given: Any,
        context: Callable[[], ssl.SSLContext] | None,
        max_connections: int,
        max_message_bytes: int,
        **named: Any,
    ) -> None:
        self.context = context
        self.max_message_bytes = max_message_bytes
        self._free = threading.BoundedSemaphore(max_connections)
        super().__init__(*given, request_handler=_Connection, **named)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        if self._free.acquire(blocking=False):
            return True
        log.warning("A connection was refused: there are too many.")
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001 - whoever connects sends what they like
            # OpenSSL's own word for it quotes nothing.
            reason = getattr(error, "reason", None) or type(error).__name__
            log.warning("A connection from %s was refused: %s", client_address[0], reason)
            self.shutdown_request(request)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.warning("A connection failed.")

    def shutdown(self) -> None:
        """Ends what listens, then all associations: what has no answer yet is sent again by the device."""
        BaseServer.shutdown(self)
        self.server_close()
        for association in self.active_associations:
            association.abort()


class Messages(DIMSEServiceProvider):
    """Messages of an association. ``follow`` keeps a message that goes out right after the next one."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self._following: list[tuple[Any, int]] = []

    def follow(self, message: Any, context_id: int) -> None:
        self._following.append((message, context_id))

    def send_msg(self, primitive: Any, context_id: int) -> None:
        super().send_msg(primitive, context_id)
        while self._following:
            super().send_msg(*self._following.pop(0))


class _Connection(RequestHandler):
    """One connection, in a thread of its own until its association ends."""

    server: Server

    def handle(self) -> None:
        self.request.settimeout(HANDSHAKE_SECONDS)
        if self.server.context is not None:
            self.request = self.server.context().wrap_socket(self.request, server_side=True)
        self.request.settimeout(NETWORK_SECONDS)
        self._association = None
        super().handle()
        if self._association is not None:
            self._association.join()

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dimse = Messages(association)
        association.dul.socket.recv = _Receiving(association, self.request, self.server.max_message_bytes)
        self._association = association
        return association


class _Receiving:
    """Reads from a connection as many bytes as are asked for, in good time, or raises `OSError`, which ends it."""

    def __init__(self, association: Association, socket: Any, max_message_bytes: int) -> None:
        self._association, self._socket, self._max_bytes = association, socket, max_message_bytes
        self._message: Any = None
        self._message_began = 0.0

    def __call__(self, count: int) -> bytearray:
        self._check(count)
        received = bytearray(count)
        view, done = memoryview(received), 0
        until = time.monotonic() + NETWORK_SECONDS
        try:
            while done < count:
                if (left := until - time.monotonic()) <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                if not (got := self._socket.recv_into(view[done:])):
                    break
                done += got
        finally:
            self._socket.settimeout(NETWORK_SECONDS)
        view.release()
        del received[done:]
        return received

    def _check(self, count: int) -> None:
        dimse, now = self._association.dimse, time.monotonic()
        if count > MAX_PDU_BYTES or dimse.msg_queue.qsize() > _WAITING_MESSAGES:
            self._refuse("it sends more at once than was agreed")
        if dimse.message is not self._message:
            self._message, self._message_began = dimse.message, now
        if self._message is None:
            return
        if self._message.encoded_command_set.tell() > MAX_COMMAND_BYTES:
            self._refuse("its command has no end")
        if self._message.data_set.tell() + count > self._max_bytes:
            self._refuse(f"an instance of more than {self._max_bytes} bytes")
        if now - self._message_began > MESSAGE_SECONDS:
            self._refuse(f"one instance took longer than {MESSAGE_SECONDS:.0f} seconds")

    def _refuse(self, reason: str) -> None:
        log.warning("An association was ended: %s", reason)
        raise OSError(reason)
