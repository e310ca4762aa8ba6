"""IPFS through the RPC API of Kubo: add, pin, fetch, unpin.

The only module that knows ipfshttpclient, requests and urllib3: whatever they raise leaves here as a `ContentError`.
A daemon's word is worth nothing: its ids are compared with ours, and its bytes are hashed before anybody sees them.
https://docs.ipfs.tech/reference/kubo/rpc/
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import ipfshttpclient
import multiaddr.exceptions
import requests
import urllib3.exceptions
from ipfshttpclient import exceptions as foreign

from protocol.content.cid import digest_of, from_cid, to_cid
from protocol.errors import (
    ContentTooLarge,
    ContentUnavailable,
    DigestMismatch,
    InvalidInput,
    IpfsUnreachable,
    PinFailed,
)

MAX_BYTES = 256 * 1024 * 1024
CONNECT_SECONDS = 5.0
#: Content that comes slower than this, once the time-out has passed, counts as unavailable.
SLOWEST_BYTES_PER_SECOND = 32 * 1024

_PIECE_BYTES = 64 * 1024
_IMPORT = {
    "pin": "true",
    "cid-version": "0",
    "raw-leaves": "false",
    "chunker": "size-262144",
    "hash": "sha2-256",
}
_FOREIGN = (
    foreign.Error,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.ProxySchemeUnsupported,
    http.client.HTTPException,
    OSError,
)
_HINT = "Is the IPFS daemon running, and is this the address of its API?"

_Result = TypeVar("_Result")


class Ipfs:
    """A daemon's RPC API.

    `api` is a multiaddr ("/ip4/127.0.0.1/tcp/5001") or a URL ("http://127.0.0.1:5001"). `timeout_seconds` bounds each
    wait for the daemon; `max_bytes` bounds each fetch. Connections are kept open: close with `close()`, or use as a
    context. Nothing is sent before the first call. Not to be shared between processes.
    """

    def __init__(self, api: str, timeout_seconds: float = 30, max_bytes: int = MAX_BYTES) -> None:
        self.api = api
        self.timeout_seconds = timeout_seconds
        self.max_bytes = max_bytes
        try:
            # Not `ipfshttpclient.connect`, which refuses every daemon since 0.8: `check` asks for the version.
            self._client = ipfshttpclient.Client(
                _multiaddr(api),
                session=True,
                chunk_size=_PIECE_BYTES,
                timeout=(min(CONNECT_SECONDS, timeout_seconds), timeout_seconds),
            )
        except (foreign.AddressError, multiaddr.exceptions.Error, ValueError) as error:
            raise InvalidInput(
                f"{api!r} is not the address of an IPFS API.",
                "Write /ip4/127.0.0.1/tcp/5001 or http://127.0.0.1:5001.",
            ) from error
        self._transport = self._client._client
        for adapter in self._transport._session.adapters.values():
            # ipfshttpclient passes urllib3 an argument that it warns about and ignores.
            adapter.poolmanager.connection_pool_kw.pop("strict", None)

    def __enter__(self) -> Ipfs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the next call would fail."""
        self._client.close()

    def check(self) -> str:
        """The daemon's version. Raises `IpfsUnreachable` when none answers, or something else does."""
        answer = self._call("version", lambda: self._ask("version"))
        version = answer.get("Version")
        if not isinstance(version, str):
            raise IpfsUnreachable(f"What answers at {self.api} is not an IPFS daemon.", _HINT)
        return version

    def add(self, data: bytes) -> bytes:
        """Adds and pins `data`; returns its digest (32 bytes).

        Raises `PinFailed` when the daemon cannot keep it, `DigestMismatch` when it names it otherwise than we do.
        """
        digest = digest_of(data)
        cid = to_cid(digest)
        named = self._call(
            f"adding {cid}", lambda: self._client.add_bytes(data, opts=_IMPORT), refused=_cannot_keep(cid)
        )
        if named != cid:
            raise DigestMismatch(
                f"The IPFS daemon at {self.api} stored {cid} under the name {str(named)[:64]!r}.",
                "Its import settings differ from Kubo's defaults, or it altered the bytes.",
            )
        return digest

    def fetch(self, digest: bytes, max_bytes: int | None = None) -> bytes:
        """The content of `digest`, checked against it.

        Reads at most `max_bytes` (the client's bound when None) and stops there with `ContentTooLarge`. Raises
        `ContentUnavailable` when nobody serves it in time, `IpfsUnreachable` when the daemon stops half-way, and
        `DigestMismatch` when the bytes are others.
        """
        cid = to_cid(digest)
        limit = self.max_bytes if max_bytes is None else min(max_bytes, self.max_bytes)
        data = self._call(
            f"fetching {cid}", lambda: self._read(cid, limit), refused=_unavailable(cid), sought=cid
        )
        if digest_of(data) != digest:
            raise DigestMismatch(
                f"The IPFS daemon at {self.api} served other bytes for {cid} ({len(data):,} of them).",
                "The content was altered or cut short where it is stored; `ipfs repo verify` names bad blocks.",
            )
        return data

    def pin(self, digest: bytes) -> None:
        """Keeps content, fetching what the daemon lacks. Raises `ContentUnavailable` or `PinFailed`."""
        cid = to_cid(digest)

        def refused(reason: str) -> ContentUnavailable | PinFailed:
            missing = any(sign in reason.lower() for sign in ("not found", "timed out", "deadline"))
            return _unavailable(cid)(reason) if missing else _cannot_keep(cid)(reason)

        self._call(
            f"pinning {cid}",
            lambda: self._ask("pin/add", cid, timeout=self._patience(0)),
            refused=refused,
            sought=cid,
        )

    def unpin(self, digest: bytes) -> None:
        """Lets go of content: the daemon's next garbage collection removes it. Does nothing when it was not pinned."""
        if not self.is_pinned(digest):
            return
        cid = to_cid(digest)
        try:
            self._call(f"unpinning {cid}", lambda: self._ask("pin/rm", cid), refused=_NotPinned)
        except _NotPinned as error:
            # Another process that shares the daemon may have been faster.
            if "not pinned" not in error.message:
                raise _cannot_keep(cid)(error.message) from error

    def is_pinned(self, digest: bytes) -> bool:
        """Whether the daemon keeps this content."""
        cid = to_cid(digest)
        try:
            answer = self._call(
                f"looking up {cid}", lambda: self._ask("pin/ls", cid, type="recursive"), refused=_NotPinned
            )
        except _NotPinned as error:
            if "not pinned" not in error.message:
                raise IpfsUnreachable(
                    f"The IPFS daemon at {self.api} failed: {error.message}", _HINT
                ) from error
            return False
        return cid in answer.get("Keys", {})

    def pins(self) -> set[bytes]:
        """Digests of all content that the daemon keeps under a CIDv0."""
        answer = self._call("listing pins", lambda: self._ask("pin/ls", type="recursive"))
        return {from_cid(cid) for cid in answer.get("Keys", {}) if cid.startswith("Qm")}

    def _ask(self, command: str, *arguments: str, **options: str) -> dict[str, Any]:
        answers = self._transport.request(f"/{command}", arguments, opts=options, decoder="json")
        if len(answers) != 1 or not isinstance(answers[0], dict):
            raise foreign.ProtocolError(None, f"{len(answers)} answers to {command}")
        return answers[0]

    def _read(self, cid: str, limit: int) -> bytes:
        pieces: list[bytes] = []
        received = 0
        began = time.monotonic()
        for piece in self._stream(cid, limit):
            received += len(piece)
            if received > limit:
                raise ContentTooLarge(f"{cid} has more than the {limit:,} bytes allowed here.")
            if time.monotonic() - began > self.timeout_seconds + received / SLOWEST_BYTES_PER_SECOND:
                raise ContentUnavailable(f"{cid} comes too slowly: {received:,} bytes so far.", _LATER)
            pieces.append(piece)
        return b"".join(pieces)

    def _stream(self, cid: str, limit: int) -> Iterator[bytes]:
        # `Client.cat` would let the transport take a whole answer, however large, before we see its first byte; its own
        # `_request` takes the size of a piece. One byte over the limit tells too large from just right.
        resources, pieces = self._transport._request(
            "POST",
            "cat",
            [("arg", cid), ("length", str(limit + 1)), ("timeout", self._patience(limit))],
            auth=None,
            data=None,
            headers={"Accept-Encoding": "identity"},
            timeout=None,
            chunk_size=_PIECE_BYTES,
        )
        with _all_closed(resources), closing(pieces):
            yield from pieces

    def _patience(self, byte_count: int) -> str:
        return f"{self.timeout_seconds + byte_count / SLOWEST_BYTES_PER_SECOND:.3f}s"

    def _call(
        self,
        doing: str,
        operation: Callable[[], _Result],
        refused: Callable[[str], Exception] | None = None,
        sought: str | None = None,
    ) -> _Result:
        """Runs an operation and maps what it raises; `refused` maps an error that the daemon itself reports."""
        try:
            try:
                return operation()
            except (foreign.ConnectionError, foreign.ProtocolError):
                # A daemon closes idle connections, at times just as we use one. All our operations can be repeated.
                return operation()
        except foreign.ErrorResponse as error:
            if refused is not None:
                raise refused(str(error)) from error
            raise self._failed(doing, error) from error
        except (foreign.TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            if sought is not None and self._answers():
                raise _unavailable(sought)(f"nothing came within {self.timeout_seconds:g} s") from error
            raise IpfsUnreachable(
                f"The IPFS daemon at {self.api} did not answer within {self.timeout_seconds:g} s while {doing}.",
                _HINT,
            ) from error
        except requests.ConnectionError as error:
            # requests reports a time-out in the middle of an answer as a broken connection.
            slow = error.args and isinstance(error.args[0], urllib3.exceptions.ReadTimeoutError)
            if slow and sought is not None and self._answers():
                raise _unavailable(sought)(f"nothing more came within {self.timeout_seconds:g} s") from error
            raise self._failed(doing, error) from error
        except _FOREIGN as error:
            raise self._failed(doing, error) from error

    def _answers(self) -> bool:
        try:
            self._ask("version")
        except _FOREIGN:
            return False
        return True

    def _failed(self, doing: str, error: Exception) -> IpfsUnreachable:
        return IpfsUnreachable(
            f"The IPFS daemon at {self.api} failed while {doing}: {_in_short(error)}.", _HINT
        )


class _NotPinned(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


_LATER = "A hospital that holds it may be offline: try again later."


def _unavailable(cid: str) -> Callable[[str], ContentUnavailable]:
    return lambda reason: ContentUnavailable(f"Nobody serves {cid} in time: {reason.rstrip('.')}.", _LATER)


def _cannot_keep(cid: str) -> Callable[[str], PinFailed]:
    return lambda reason: PinFailed(
        f"The IPFS daemon cannot keep {cid}: {reason.rstrip('.')}.", "Is the disk of its repository full?"
    )


def _in_short(error: Exception) -> str:
    original = getattr(error, "original", None) or error
    return f"{type(original).__name__}: {str(original)[:200]}".rstrip(". ")


def _multiaddr(api: str) -> str:
    if api.startswith("/"):
        return api
    url = urlsplit(api)
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        raise ValueError(api)
    host = url.hostname
    if ":" in host:
        kind = "ip6"
    elif host.replace(".", "").isdigit():
        kind = "ip4"
    else:
        kind = "dns"
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"/{kind}/{host}/tcp/{port}/{url.scheme}"


@contextmanager
def _all_closed(resources: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for resource in resources:
            resource.close()
