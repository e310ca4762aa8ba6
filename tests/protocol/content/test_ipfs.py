from __future__ import annotations

import http.client
import inspect
import itertools
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import ipfshttpclient.exceptions
import pytest
import requests.exceptions
import urllib3.exceptions

from protocol.content.cid import digest_of, to_cid
from protocol.content.ipfs import Ipfs
from protocol.errors import (
    ContentError,
    ContentTooLarge,
    ContentUnavailable,
    DigestMismatch,
    InvalidInput,
    IpfsUnreachable,
    PinFailed,
)

sys.path.insert(0, str(Path(__file__).parent))
from bad_daemon import BadDaemon, failure, reply

DATA = b"a state of the model " * 1000
DIGEST = digest_of(DATA)
NOWHERE = digest_of(os.urandom(32))


@pytest.fixture
def ipfs(ipfs_daemon):
    with Ipfs(ipfs_daemon, timeout_seconds=10) as client:
        yield client


class TestARealDaemon:
    def test_it_tells_its_version(self, ipfs):
        assert ipfs.check().count(".") == 2

    @pytest.mark.parametrize("length", [0, 1, 262_144, 262_148, 1_600_000])
    def test_what_is_added_is_pinned_and_comes_back(self, ipfs, length):
        data = os.urandom(length)
        digest = ipfs.add(data)
        assert digest == digest_of(data)
        assert ipfs.is_pinned(digest)
        assert ipfs.fetch(digest) == data

    def test_adding_twice_is_adding_once(self, ipfs):
        assert ipfs.add(DATA) == ipfs.add(DATA)

    def test_what_is_unpinned_is_pinned_no_more(self, ipfs):
        digest = ipfs.add(os.urandom(600_000))
        assert digest in ipfs.pins()
        ipfs.unpin(digest)
        assert not ipfs.is_pinned(digest)
        assert digest not in ipfs.pins()
        ipfs.unpin(digest)
        ipfs.pin(digest)
        assert ipfs.is_pinned(digest)

    def test_a_limit_is_kept_to_the_byte(self, ipfs):
        digest = ipfs.add(DATA)
        assert ipfs.fetch(digest, max_bytes=len(DATA)) == DATA
        with pytest.raises(ContentTooLarge, match="20,999"):
            ipfs.fetch(digest, max_bytes=len(DATA) - 1)

    def test_the_client_has_a_limit_of_its_own(self, ipfs_daemon):
        with Ipfs(ipfs_daemon, max_bytes=100) as small:
            digest = small.add(DATA)
            with pytest.raises(ContentTooLarge):
                small.fetch(digest)
            with pytest.raises(ContentTooLarge):
                small.fetch(digest, max_bytes=10**6)

    def test_what_nobody_serves_is_unavailable(self, ipfs_daemon):
        with Ipfs(ipfs_daemon, timeout_seconds=1) as hasty:
            with pytest.raises(ContentUnavailable, match=to_cid(NOWHERE)):
                hasty.fetch(NOWHERE)
            with pytest.raises(ContentUnavailable, match=to_cid(NOWHERE)):
                hasty.pin(NOWHERE)

    def test_a_url_is_as_good_as_a_multiaddr(self, ipfs_daemon):
        port = ipfs_daemon.split("/")[4]
        for api in (f"http://127.0.0.1:{port}", f"http://localhost:{port}/", f"/ip4/127.0.0.1/tcp/{port}"):
            with Ipfs(api) as client:
                assert client.check()

    def test_a_repository_that_takes_no_block_is_a_pin_that_failed(self, start_ipfs, tmp_path):
        api = start_ipfs(tmp_path)
        shutil.rmtree(tmp_path / "blocks")
        (tmp_path / "blocks").touch()
        data = os.urandom(400_000)
        with Ipfs(api) as client:
            with pytest.raises(PinFailed, match=to_cid(digest_of(data))) as refusal:
                client.add(data)
            assert "disk" in refusal.value.hint


class TestADaemonThatMisbehaves:
    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        with Ipfs(f"/ip4/127.0.0.1/tcp/{port}") as client:
            calls = (
                client.check,
                lambda: client.add(DATA),
                lambda: client.fetch(DIGEST),
                lambda: client.pin(DIGEST),
                lambda: client.is_pinned(DIGEST),
                client.pins,
            )
            for call in calls:
                with pytest.raises(IpfsUnreachable, match=str(port)):
                    call()

    @pytest.mark.parametrize(
        "answer",
        [
            reply(DATA[:5000], length=len(DATA)),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + DATA[:2000],
            b"",
            b"nonsense\r\n\r\n",
        ],
        ids=["body", "chunk", "nothing", "nonsense"],
    )
    def test_it_stops_half_way(self, answer):
        with (
            BadDaemon(cat=lambda: [answer]) as daemon,
            Ipfs(daemon.api, timeout_seconds=5) as client,
            pytest.raises(IpfsUnreachable, match="failed while fetching"),
        ):
            client.fetch(DIGEST)

    def test_an_idle_connection_that_it_closed_is_not_a_failure(self):
        answers = itertools.chain([b""], itertools.repeat(reply(DATA)))
        with BadDaemon(cat=lambda: next(answers)) as daemon, Ipfs(daemon.api) as client:
            assert client.fetch(DIGEST) == DATA
            assert daemon.asked == ["cat", "cat"]

    def test_it_hangs(self):
        with BadDaemon(version=None, add=None) as daemon, Ipfs(daemon.api, timeout_seconds=0.3) as client:
            with pytest.raises(IpfsUnreachable, match=r"within 0\.3 s"):
                client.check()
            with pytest.raises(IpfsUnreachable, match=r"within 0\.3 s"):
                client.add(DATA)

    def test_it_hangs_on_everything_when_content_is_sought(self):
        with (
            BadDaemon(version=None, cat=None) as daemon,
            Ipfs(daemon.api, timeout_seconds=0.3) as client,
            pytest.raises(IpfsUnreachable),
        ):
            client.fetch(DIGEST)

    def test_it_lives_and_finds_nothing(self):
        with (
            BadDaemon(cat=None, **{"pin/add": None}) as daemon,
            Ipfs(daemon.api, timeout_seconds=0.3) as client,
        ):
            with pytest.raises(ContentUnavailable):
                client.fetch(DIGEST)
            with pytest.raises(ContentUnavailable):
                client.pin(DIGEST)

    def test_content_stops_coming(self):
        def stalls():
            yield reply(DATA[:5000], length=len(DATA))
            time.sleep(2)

        with (
            BadDaemon(cat=stalls) as daemon,
            Ipfs(daemon.api, timeout_seconds=0.3) as client,
            pytest.raises(ContentUnavailable, match="nothing more came"),
        ):
            client.fetch(DIGEST)

    def test_content_drips(self):
        def drips():
            yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            for _ in range(100):
                yield b"1\r\nx\r\n"
                time.sleep(0.05)

        with (
            BadDaemon(cat=drips) as daemon,
            Ipfs(daemon.api, timeout_seconds=0.3) as client,
            pytest.raises(ContentUnavailable, match="too slowly"),
        ):
            client.fetch(DIGEST)

    @pytest.mark.parametrize("chunked", [True, False])
    def test_content_never_ends(self, chunked):
        def floods():
            if chunked:
                yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n"
            else:
                yield b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"
            for _ in range(1024):
                yield bytes(1 << 20)

        with BadDaemon(cat=floods) as daemon, Ipfs(daemon.api) as client:
            with pytest.raises(ContentTooLarge, match="100,000 bytes"):
                client.fetch(DIGEST, max_bytes=100_000)
            assert daemon.bytes_sent < 32 << 20

    @pytest.mark.parametrize("served", [DATA[:-1], DATA + b"x", b"X" + DATA[1:], b""])
    def test_it_serves_other_bytes(self, served):
        with (
            BadDaemon(cat=reply(served)) as daemon,
            Ipfs(daemon.api) as client,
            pytest.raises(DigestMismatch, match=to_cid(DIGEST)),
        ):
            client.fetch(DIGEST)

    def test_it_gives_another_name_than_ours(self):
        with (
            BadDaemon(add=reply(b'{"Name":"x","Hash":"QmOther","Size":"5"}')) as daemon,
            Ipfs(daemon.api) as client,
            pytest.raises(DigestMismatch, match="QmOther"),
        ):
            client.add(DATA)

    @pytest.mark.parametrize(
        "message", ["ENOSPC: no space left on device, write", "write /blocks: disk quota exceeded"]
    )
    def test_its_disk_is_full(self, message):
        answers = {"add": failure(message), "pin/add": failure(message)}
        with BadDaemon(**answers) as daemon, Ipfs(daemon.api) as client:
            for call in (lambda: client.add(DATA), lambda: client.pin(DIGEST)):
                with pytest.raises(PinFailed, match=message[:6]):
                    call()

    def test_it_cannot_find_content(self):
        answers = {"cat": failure("merkledag: not found"), "pin/add": failure("pin: merkledag: not found")}
        with BadDaemon(**answers) as daemon, Ipfs(daemon.api) as client:
            for call in (lambda: client.fetch(DIGEST), lambda: client.pin(DIGEST)):
                with pytest.raises(ContentUnavailable, match="not found"):
                    call()

    @pytest.mark.parametrize(
        "answer",
        [
            reply(b"<html>hello</html>"),
            reply(b"<html>404</html>", "404 Not Found"),
            reply(b'{"version":"1"}'),
            reply(b"[1]"),
            reply(b"{}{}"),
            reply(b""),
            reply(b"\xff\xfe"),
        ],
    )
    def test_it_is_something_else(self, answer):
        with BadDaemon(version=answer) as daemon, Ipfs(daemon.api) as client, pytest.raises(IpfsUnreachable):
            client.check()

    def test_an_error_while_looking_up_a_pin_is_not_an_answer(self):
        with (
            BadDaemon(**{"pin/ls": failure("datastore closed")}) as daemon,
            Ipfs(daemon.api) as client,
            pytest.raises(IpfsUnreachable, match="datastore closed"),
        ):
            client.is_pinned(DIGEST)


@pytest.mark.parametrize(
    "api", ["", "5001", "/ip4/127.0.0.1", "ftp://127.0.0.1", "http://", "/unix", "http://h:99999"]
)
def test_what_is_no_address_is_refused(api):
    with pytest.raises(InvalidInput, match="not the address"):
        Ipfs(api)


FOREIGN = [
    error
    for module in (ipfshttpclient.exceptions, requests.exceptions, urllib3.exceptions, http.client)
    for _, error in inspect.getmembers(module, inspect.isclass)
    if issubclass(error, Exception)
    and not issubclass(error, Warning)
    and error.__module__.startswith(("ipfs", "requests", "urllib3", "http"))
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: f"{error.__module__}.{error.__name__}")
def test_no_foreign_exception_leaves_the_client(error, monkeypatch):
    client = Ipfs("/ip4/127.0.0.1/tcp/1")
    # Each takes other arguments; only its class matters here.
    plain = type(
        "Plain", (error,), {"__init__": lambda _: None, "__str__": lambda _: "broken", "original": None}
    )

    def raises(*_, **__):
        raise plain

    monkeypatch.setattr(type(client._transport), "_request", raises)
    calls = (
        client.check,
        lambda: client.add(b""),
        lambda: client.fetch(DIGEST),
        lambda: client.pin(DIGEST),
        client.pins,
    )
    for call in (*calls, lambda: client.is_pinned(DIGEST), lambda: client.unpin(DIGEST)):
        with pytest.raises(ContentError):
            call()
