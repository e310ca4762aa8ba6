"""What happens between signing and the receipt, on a node that misbehaves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from protocol.chain import sending
from protocol.chain.accounts import Signer
from protocol.chain.rpc import RpcError
from protocol.chain.sending import Fees, Outbox, ether
from protocol.errors import ChainError, ChainUnreachable, InsufficientFunds, Refused, TransactionLost

TO = "0x52908400098527886E0F7030069857D2E4169EE7"
SIGNER = Signer.from_key("0x" + "11" * 32)
GWEI = 10**9


class Node:
    """A node of memory: takes transactions, mines them at once, and does what a test scripts first."""

    url = "http://node"

    def __init__(self) -> None:
        self.scripted: list[Exception] = []
        self.keeps_before_failing = False
        self.mines = True
        self.base_fee = GWEI
        self.balance = 10**18
        self.nonces: list[int] = [0]
        self.sent: list[str] = []
        self.known: dict[str, bool] = {}
        self.asked: list[str] = []
        self.status = "0x1"
        self.replay: Exception | None = None
        self.would_fail = False

    def request(self, method: str, *params: Any) -> Any:
        self.asked.append(method)
        return getattr(self, method)(*params)

    def eth_feeHistory(self, *_: Any) -> dict[str, Any]:
        return {"baseFeePerGas": [hex(self.base_fee)] * 2, "reward": [[hex(GWEI)]]}

    def eth_getTransactionCount(self, *_: Any) -> str:
        return hex(self.nonces.pop(0) if len(self.nonces) > 1 else self.nonces[0])

    def eth_getBalance(self, *_: Any) -> str:
        return hex(self.balance)

    def eth_estimateGas(self, *_: Any) -> str:
        if self.would_fail:
            raise RpcError("eth_estimateGas", {"code": 3, "message": "execution reverted", "data": "0x"})
        return hex(100_000)

    def eth_sendRawTransaction(self, raw: str) -> str:
        from eth_utils import keccak

        self.sent.append(raw)
        sent = "0x" + keccak(hexstr=raw).hex()
        if self.scripted:
            error = self.scripted.pop(0)
            if self.keeps_before_failing:
                self.known[sent] = self.mines
            raise error
        self.known[sent] = self.mines
        return sent

    def eth_getTransactionByHash(self, sent: str) -> Any:
        return {"hash": sent} if sent in self.known else None

    def eth_getTransactionReceipt(self, sent: str) -> Any:
        if not self.known.get(sent):
            return None
        receipt = {"blockNumber": "0x5", "gasUsed": "0x186a0", "status": self.status, "transactionHash": sent}
        return {**receipt, "effectiveGasPrice": "0x1", "logs": []}

    def eth_call(self, *_: Any) -> str:
        if self.replay:
            raise self.replay
        return "0x"


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def outbox(node: Node, tmp_path: Path) -> Outbox:
    return Outbox(node, 11155111, SIGNER, tmp_path, timeout_seconds=1)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_POLL_SECONDS", 0.001)


def says(message: str) -> RpcError:
    return RpcError("eth_sendRawTransaction", {"code": -32000, "message": message})


def test_an_ordinary_send_asks_for_no_more_than_it_needs(node: Node, outbox: Outbox) -> None:
    outbox.send(TO, b"\1")
    outbox.send(TO, b"\1")
    needed = [
        "eth_estimateGas",
        "eth_getTransactionCount",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
    ]
    first = [each for each in node.asked if each not in ("eth_feeHistory", "eth_getBalance")]
    assert first == needed * 2
    # Fees and funds are looked at now and then.
    assert node.asked.count("eth_feeHistory") == 1
    assert node.asked.count("eth_getBalance") == 1


@pytest.mark.parametrize(
    "message",
    [
        "nonce too low",
        "nonce too low: next nonce 6, tx nonce 5",
        "the tx doesn't have the correct nonce. account has nonce of: 6 tx has nonce of: 5",
        "replacement transaction underpriced",
        "OldNonce",
    ],
)
def test_an_overtaken_nonce_is_read_again(node: Node, outbox: Outbox, message: str) -> None:
    node.scripted = [says(message), says(message)]
    node.nonces = [5, 5, 6]
    assert outbox.send(TO, b"\1")["status"] == "0x1"
    assert len(node.sent) == 3
    assert node.sent[0] == node.sent[1] != node.sent[2]


@pytest.mark.parametrize(
    "message",
    [
        "transaction underpriced",
        "max fee per gas less than block base fee: address 0x…",
        "FeeTooLow, EffectivePriorityFee",
    ],
)
def test_fees_that_have_risen_are_read_again(node: Node, outbox: Outbox, message: str) -> None:
    outbox.fees.current()
    node.base_fee = 50 * GWEI
    node.scripted = [says(message)]
    outbox.send(TO, b"\1")
    assert node.asked.count("eth_feeHistory") == 2
    assert len(set(node.sent)) == 2


def test_gives_up_after_a_few_attempts(node: Node, outbox: Outbox) -> None:
    node.scripted = [says("nonce too low")] * 50
    with pytest.raises(ChainError, match="keeps refusing the transaction: nonce too low"):
        outbox.send(TO, b"\1")
    assert len(node.sent) == sending.ATTEMPTS


@pytest.mark.parametrize(
    "message", ["already known", "AlreadyKnown", "known transaction: 0xab", "already imported"]
)
def test_what_the_node_knows_already_is_sent(node: Node, outbox: Outbox, message: str) -> None:
    node.scripted, node.keeps_before_failing = [says(message)], True
    assert outbox.send(TO, b"\1")["status"] == "0x1"
    assert len(node.sent) == 1


def test_a_lost_answer_never_leads_to_a_second_transaction(node: Node, outbox: Outbox) -> None:
    lost = ChainUnreachable("The chain node does not answer.")
    node.scripted, node.keeps_before_failing = [lost, says("nonce too low")], True
    assert outbox.send(TO, b"\1")["status"] == "0x1"
    assert len(set(node.sent)) == 1


def test_a_node_that_stays_away_is_unreachable(node: Node, outbox: Outbox) -> None:
    node.scripted = [ChainUnreachable("The chain node does not answer.")] * 50
    with pytest.raises(ChainUnreachable):
        outbox.send(TO, b"\1")
    assert len(set(node.sent)) == 1


def test_missing_funds_are_named_with_the_figure(node: Node, outbox: Outbox) -> None:
    node.balance = 12 * 10**15
    node.scripted = [says("insufficient funds for gas * price + value: balance 12, tx cost 99")]
    with pytest.raises(
        InsufficientFunds, match=r"holds 0\.012 ETH; the transaction may cost up to 0\.0006 ETH"
    ):
        outbox.send(TO, b"\1")


def test_other_refusals_keep_the_nodes_words(node: Node, outbox: Outbox) -> None:
    node.scripted = [says("transaction type not supported")]
    with pytest.raises(ChainError, match="refused eth_sendRawTransaction: transaction type not supported"):
        outbox.send(TO, b"\1")


def test_what_is_not_mined_in_time_is_lost_with_its_hash(node: Node, outbox: Outbox) -> None:
    node.mines = False
    with pytest.raises(
        TransactionLost, match=r"Transaction 0x[0-9a-f]{64} of account .* was not mined within"
    ):
        outbox.send(TO, b"\1")


def test_fees_left_behind_are_raised_for_the_same_nonce(
    node: Node, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    monkeypatch.setattr(sending, "REPLACE_AFTER_SECONDS", 0.01)
    node.mines = False
    real = node.eth_sendRawTransaction

    def send(raw: str) -> str:
        node.mines = bool(node.sent)
        node.base_fee = 100 * GWEI
        return real(raw)

    monkeypatch.setattr(node, "eth_sendRawTransaction", send)
    with caplog.at_level(logging.WARNING):
        outbox.send(TO, b"\1")
    first, second = (TypedTransaction.from_bytes(HexBytes(raw)).as_dict() for raw in node.sent)
    assert first["nonce"] == second["nonce"]
    assert second["maxFeePerGas"] > first["maxFeePerGas"]
    assert second["maxPriorityFeePerGas"] >= first["maxPriorityFeePerGas"] * 1.1
    assert "fees have risen" in caplog.text


def test_a_wait_at_steady_fees_sends_nothing_more(
    node: Node, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "REPLACE_AFTER_SECONDS", 0.01)
    node.mines = False
    with pytest.raises(TransactionLost):
        outbox.send(TO, b"\1")
    assert len(node.sent) == 1


def test_a_failed_transaction_is_explained_by_replaying_it(node: Node, outbox: Outbox) -> None:
    node.status = "0x0"
    node.replay = RpcError("eth_call", {"code": 3, "message": "execution reverted", "data": "0x" + "de" * 4})
    with pytest.raises(Refused, match="error 0xdededede"):
        outbox.send(TO, b"\1")
    node.replay = None
    with pytest.raises(ChainError, match="failed in block 5 and would succeed now"):
        outbox.send(TO, b"\1")
    with pytest.raises(ChainError, match="ran out of gas"):
        outbox.send(TO, b"\1", gas=10_000)


def test_an_estimate_that_a_development_chain_loses_becomes_a_call(node: Node, tmp_path: Path) -> None:
    """A refusal is still known before anything is sent."""
    outbox = Outbox(node, 1337, SIGNER, tmp_path, timeout_seconds=1)  # type: ignore[arg-type]
    node.briefly = lambda *_: None  # type: ignore[attr-defined]
    assert outbox.estimate(TO, b"") == sending.DEVELOPMENT_GAS
    refusal = {"code": 3, "message": "execution reverted", "data": "0x"}

    def refuse(*_: Any) -> str:
        raise RpcError("eth_call", refusal)

    node.eth_call = refuse  # type: ignore[method-assign]
    with pytest.raises(Refused):
        outbox.estimate(TO, b"")


def test_an_estimate_without_data_is_explained_by_a_call(node: Node, outbox: Outbox) -> None:
    def refuse(*_: Any) -> str:
        raise RpcError("eth_estimateGas", {"code": -32000, "message": "execution reverted"})

    node.eth_estimateGas = refuse  # type: ignore[method-assign]
    node.replay = RpcError("eth_call", {"code": 3, "message": "execution reverted", "data": "0x" + "de" * 4})
    with pytest.raises(Refused, match="error 0xdededede"):
        outbox.send(TO, b"\1")
    assert node.sent == []


def test_an_account_that_is_held_too_long_is_told(node: Node, outbox: Outbox, tmp_path: Path) -> None:
    path = next(tmp_path.glob("*.lock"), tmp_path / f"account-11155111-{SIGNER.address.lower()}.lock")
    with FileLock(path), pytest.raises(TransactionLost, match="Another process holds account"):
        outbox.send(TO, b"\1")
    assert node.sent == []


def test_a_chain_without_a_base_fee_is_refused(node: Node) -> None:
    node.eth_feeHistory = lambda *_: {"oldestBlock": "0x1"}  # type: ignore[method-assign]
    with pytest.raises(ChainError, match="no base fee"):
        Fees(node).current()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wei", "text"), [(0, "0"), (10**18, "1"), (125 * 10**14, "0.0125"), (100 * 10**18, "100"), (1, "0")]
)
def test_ether_for_people(wei: int, text: str) -> None:
    assert ether(wei) == text


def test_a_transaction_that_the_node_forgot_is_handed_over_again(
    node: Node, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that was killed loses what it had not mined."""
    monkeypatch.setattr(sending, "FORGOTTEN_SECONDS", 0.01)
    real = node.eth_sendRawTransaction

    def send(raw: str) -> str:
        answer = real(raw)
        if len(node.sent) == 1:
            node.known.clear()
        return answer

    monkeypatch.setattr(node, "eth_sendRawTransaction", send)
    with caplog.at_level(logging.WARNING):
        outbox.send(TO, b"\1")
    assert len(node.sent) == 2 and len(set(node.sent)) == 1
    assert "handing it over again" in caplog.text


def test_after_an_outage_a_transaction_is_estimated_again(
    node: Node, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the chain was away another may have done the same: nothing doomed is sent."""
    monkeypatch.setattr(sending, "FRESH_SECONDS", 0.0)

    def away(_raw: str) -> str:
        node.would_fail = True
        raise ChainUnreachable("away")

    monkeypatch.setattr(node, "eth_sendRawTransaction", away)
    with pytest.raises(Refused):
        outbox.send(TO, b"\1", gas=100_000)
    assert node.sent == []


def test_a_stale_estimate_of_what_the_node_has_by_now_is_no_obstacle(
    node: Node, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "FRESH_SECONDS", 0.0)
    real = node.eth_sendRawTransaction

    def lost_answer(raw: str) -> str:
        real(raw)
        node.would_fail = True
        raise ChainUnreachable("away")

    monkeypatch.setattr(node, "eth_sendRawTransaction", lost_answer)
    outbox.send(TO, b"\1", gas=100_000)
    assert len(node.sent) == 1


def test_nothing_is_handed_over_too_late(node: Node, outbox: Outbox) -> None:
    with pytest.raises(TransactionLost, match="It took too long"):
        outbox.send(TO, b"\1", until=0.0)
    assert node.sent == []


def test_what_was_sent_before_is_waited_for(node: Node, outbox: Outbox) -> None:
    node.nonces = [6, 5, 6, 6]
    outbox.settle()
    assert node.asked == ["eth_getTransactionCount"] * 4


def test_what_was_sent_before_and_is_never_mined_stops_the_next(
    node: Node, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "eth_getTransactionCount", lambda _, block: hex(6 if block == "pending" else 5))
    with pytest.raises(TransactionLost, match=r"An earlier transaction of account 0x.* is not mined"):
        outbox.settle()
