"""The edge: nothing of web3's or requests' passes it, whatever the node does."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from web3 import exceptions as web3_errors

from protocol.chain.rpc import FOREIGN, Rpc, RpcError, foreign_errors
from protocol.errors import ChainError, ChainUnreachable, InvalidInput, Refused, SalusError, TransactionLost

CLASSES = [
    each
    for _, each in inspect.getmembers(web3_errors, inspect.isclass)
    if issubclass(each, Exception)
    and each.__module__ == web3_errors.__name__
    and each is not web3_errors.Web3Exception
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_exception_of_web3_is_mapped(kind: type[Exception]) -> None:
    ours = [each for each in kind.__mro__ if each in FOREIGN and issubclass(each, web3_errors.Web3Exception)]
    # AttributeError is web3's own base for a few.
    ours += [each for each in kind.__mro__ if each in FOREIGN and each.__module__ == web3_errors.__name__]
    assert ours, f"{kind.__name__} would pass the edge"
    error = kind.__new__(kind)
    error.args = ("said by web3",)
    with pytest.raises(SalusError), foreign_errors("http://node"):
        raise error


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (web3_errors.ContractCustomError("0x"), Refused),
        (web3_errors.TimeExhausted("slow"), TransactionLost),
        (web3_errors.InvalidAddress("x"), InvalidInput),
        (web3_errors.TooManyRequests("429"), ChainUnreachable),
        (requests.ConnectionError("refused"), ChainUnreachable),
        (requests.ReadTimeout("slow"), ChainUnreachable),
        (requests.HTTPError("502"), ChainUnreachable),
        (ConnectionResetError(), ChainUnreachable),
        (TimeoutError(), ChainUnreachable),
        (json.JSONDecodeError("x", "", 0), ChainUnreachable),
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_maps_to_the_right_kind(foreign: Exception, ours: type[SalusError]) -> None:
    with pytest.raises(ours) as error, foreign_errors("http://node"):
        raise foreign
    assert type(error.value) is ours
    assert error.value.__cause__ is foreign


def test_lets_our_own_errors_and_defects_through() -> None:
    with pytest.raises(RpcError), foreign_errors("http://node"):
        raise RpcError("eth_call", {"message": "no"})
    with pytest.raises(ZeroDivisionError), foreign_errors("http://node"):
        raise ZeroDivisionError


Answer = Callable[[Any], tuple[int, bytes]]


@pytest.fixture
def node() -> Iterator[Callable[[Answer], Rpc]]:
    """A node that answers whatever a test says."""
    servers = []

    def start(answer: Answer) -> Rpc:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = answer(request)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Says nothing on the test's output."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Rpc(f"http://127.0.0.1:{server.server_address[1]}", timeout_seconds=2)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def result(request: Any, value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>Welcome</html>"),
        (200, b"[]"),
        (200, b'{"hello": 1}'),
        (200, b"null"),
        (502, b"bad gateway"),
        (429, b""),
    ],
)
def test_what_is_no_chain_node_is_unreachable(node: Any, status: int, body: bytes) -> None:
    rpc = node(lambda _: (status, body))
    with pytest.raises(ChainUnreachable) as error:
        rpc.request("eth_sendRawTransaction", "0x")
    assert "SALUS_RPC_URL" in error.value.hint


def test_an_error_of_the_node_keeps_code_reason_and_data(node: Any) -> None:
    error = {"code": -32000, "message": "nonce too low", "data": "0x12"}
    rpc = node(
        lambda request: (200, json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode())
    )
    with pytest.raises(RpcError, match="eth_sendRawTransaction: nonce too low") as raised:
        rpc.request("eth_sendRawTransaction", "0x")
    assert (raised.value.code, raised.value.reason, raised.value.data) == (-32000, "nonce too low", "0x12")
    assert isinstance(raised.value, ChainError)


def test_an_estimate_that_is_never_answered_is_asked_again_soon(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ganache leaves one without an answer now and then; the client's own patience would be seconds longer."""
    monkeypatch.setattr("protocol.chain.rpc.ESTIMATE_SECONDS", (0.1, 0.2))
    asked, over = [], threading.Event()

    def answer(request: Any) -> tuple[int, bytes]:
        asked.append(request["params"])
        if len(asked) < 3:
            over.wait(10)
        return 200, json.dumps(result(request, "0x5208")).encode()

    rpc = node(answer)
    assert rpc.request("eth_estimateGas", {"to": "0x"}) == "0x5208"
    over.set()
    assert asked == [[{"to": "0x"}]] * 3


def test_what_is_asked_briefly_is_not_waited_for(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.chain.rpc.BRIEF_SECONDS", 0.1)
    over = threading.Event()

    def answer(request: Any) -> tuple[int, bytes]:
        if request["params"] == ["slow"]:
            over.wait(10)
        return 200, json.dumps(result(request, "0x5208")).encode()

    rpc = node(answer)
    assert rpc.briefly("eth_estimateGas", "slow") is None
    over.set()
    assert rpc.briefly("eth_estimateGas", "fast") == "0x5208"


def test_batches_come_back_in_order_and_in_pages(node: Any) -> None:
    sizes = []

    def answer(request: Any) -> tuple[int, bytes]:
        sizes.append(len(request))
        answers = [result(each, each["params"][0]) for each in reversed(request)]
        return 200, json.dumps(answers).encode()

    rpc = node(answer)
    assert rpc.batch([("eth_call", [number]) for number in range(250)]) == list(range(250))
    assert sizes == [100, 100, 50]
    assert rpc.batch([]) == []


def test_a_short_batch_or_an_error_in_place_of_one_is_noticed(node: Any) -> None:
    short = node(lambda request: (200, json.dumps([result(request[0], 1)]).encode()))
    with pytest.raises(ChainUnreachable, match="only part of a batch"):
        short.batch([("eth_call", [1]), ("eth_call", [2])])
    refusing = node(lambda _: (200, b'{"jsonrpc": "2.0", "id": null, "error": {"message": "no batches"}}'))
    with pytest.raises(RpcError, match="no batches"):
        refusing.batch([("eth_call", [1]), ("eth_call", [2])])


def test_the_key_in_a_url_is_in_no_error() -> None:
    rpc = Rpc("http://user:secret@127.0.0.1:9/v3/secret?token=secret")
    with pytest.raises(ChainUnreachable) as caught:
        rpc.request("eth_blockNumber")
    assert "http://127.0.0.1:9 " in str(caught.value)
    assert "secret" not in str(caught.value)
