"""One account's way onto the chain: estimate, fees, nonce, signature, broadcast, receipt.

A transaction that would fail is refused at its estimate and never sent. Processes that share an account take turns by a
file lock from reading the nonce until the node has accepted the transaction. Broadcasting is repeatable: the same
signed bytes have the same hash, so a lost answer never leads to a second transaction. A process that was killed between
broadcast and receipt may have left one under way: the next one waits for it before it estimates anything.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from protocol.chain import reverts
from protocol.chain.accounts import Signer
from protocol.chain.development import CHAIN_IDS, DevSigner, require_development
from protocol.chain.rpc import Rpc, RpcError
from protocol.errors import ChainError, ChainUnreachable, InsufficientFunds, TransactionLost

log = logging.getLogger(__name__)

WEI = 10**18
ATTEMPTS = 6
# Others' transactions may land between estimate and execution and make ours dearer: unused gas costs nothing.
GAS_MARGIN = 1.5
GAS_EXTRA = 50_000
FEES_FRESH_SECONDS = 5.0
FIRST_POLL_SECONDS = 0.05
SLOWEST_POLL_SECONDS = 1.0
REPLACE_AFTER_SECONDS = 30.0
# An estimate that is older says nothing: the chain was away, or another process held the account.
FRESH_SECONDS = 1.0
# What a call may use whose estimate a development chain has lost: more than any of ours, a third of its blocks.
DEVELOPMENT_GAS = 7_000_000
# How long a transaction may be unmined before the node is asked whether it still knows it.
FORGOTTEN_SECONDS = 5.0
REPLACE_FACTOR = 1.25
FUNDS_EVERY_SENDS = 20
LOW_FUNDS_TRANSACTIONS = 20

# What nodes say, in lower case: geth, Erigon, Nethermind, Besu, Anvil, Ganache.
KNOWN = ("already known", "known transaction", "already imported", "alreadyknown")
NONCE_BEHIND = ("nonce too low", "nonce is too low", "oldnonce", "invalid nonce", "correct nonce")
OCCUPIED = ("replacement transaction underpriced", "replacement fee too low", "could not replace")
UNDERPRICED = (
    "underpriced",
    "less than block base fee",
    "basefeepergas",
    "fee cap less",
    "feetoolow",
    "fee too low",
)
NO_FUNDS = ("insufficient funds", "insufficient balance", "insufficientfunds", "doesn't have enough funds")


class _Overtaken(ChainError):
    """Another transaction came first, or the fees have risen: sign again."""


class Fees:
    """EIP-1559 fees in wei, from the node's history of the last blocks; kept for a few seconds."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self._read_at = float("-inf")
        self._base = self._tip = 0

    def current(self, factor: float = 1.0) -> dict[str, int]:
        """``maxFeePerGas``, twice the coming block's base fee plus the tip, and ``maxPriorityFeePerGas``."""
        if time.monotonic() - self._read_at > FEES_FRESH_SECONDS:
            self.refresh()
        tip = int(self._tip * factor)
        return {"maxFeePerGas": int(2 * self._base * factor) + tip, "maxPriorityFeePerGas": tip}

    def refresh(self) -> None:
        """Reads them again. Raises ChainError for a chain without EIP-1559."""
        history = self.rpc.request("eth_feeHistory", "0x5", "latest", [50])
        bases = [int(each, 16) for each in history.get("baseFeePerGas") or []]
        if not bases:
            raise ChainError(
                f"The chain at {self.rpc.url} has no base fee.", "Salus sends EIP-1559 transactions only."
            )
        tips = sorted(int(each[0], 16) for each in history.get("reward") or [] if each)
        self._base, self._tip = bases[-1], max(1, tips[len(tips) // 2] if tips else 1)
        self._read_at = time.monotonic()


class Outbox:
    """Sends the transactions of one account on one chain."""

    def __init__(
        self, rpc: Rpc, chain_id: int, signer: Signer | DevSigner, lock_folder: Path, timeout_seconds: float
    ) -> None:
        if isinstance(signer, DevSigner):
            require_development(chain_id)
        self.rpc, self.chain_id, self.signer, self.timeout_seconds = rpc, chain_id, signer, timeout_seconds
        self.fees = Fees(rpc)
        lock_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(lock_folder / f"account-{chain_id}-{signer.address.lower()}.lock", mode=0o600)
        self._sends = 0
        self._estimated_at = float("-inf")

    def settle(self) -> None:
        """Waits until what this account has sent before is mined. Raises TransactionLost when it is not in time."""
        deadline, pause = time.monotonic() + self.timeout_seconds, FIRST_POLL_SECONDS
        while self._count("pending") > self._count("latest"):
            if time.monotonic() > deadline:
                raise TransactionLost(
                    f"An earlier transaction of account {self.signer.address} is not mined; nothing was sent.",
                    "Fees may have risen, or the node lag behind: look the account up, and try again.",
                )
            time.sleep(pause)
            pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)

    def _count(self, block: str) -> int:
        return int(self.rpc.request("eth_getTransactionCount", self.signer.address, block), 16)

    def estimate(self, to: str, data: bytes, value_wei: int = 0) -> int:
        """Gas that the call would use now. Raises Refused when it would fail, InsufficientFunds without the money."""
        call = {"from": self.signer.address, "to": to, "data": _hex(data), "value": hex(value_wei)}
        used = self._estimated(call, value_wei)
        self._estimated_at = time.monotonic()
        return used

    def _estimated(self, call: Mapping[str, Any], value_wei: int) -> int:
        try:
            if self.chain_id not in CHAIN_IDS:
                return int(self.rpc.request("eth_estimateGas", call), 16)
            # A development chain mines whenever somebody asks, and loses long estimates then; a call is short.
            if (estimated := self.rpc.briefly("eth_estimateGas", call)) is None:
                self.rpc.request("eth_call", {**call, "gas": hex(DEVELOPMENT_GAS)}, "latest")
                return DEVELOPMENT_GAS
            return int(estimated, 16)
        except RpcError as error:
            if refusal := reverts.refusal(error):
                # Some nodes estimate without the revert's data; a call at the same place has it.
                raise (
                    self._replayed(call) or refusal if not reverts.revert_data(error.data) else refusal
                ) from error
            if _says(error, NO_FUNDS):
                raise self._cannot_pay(value_wei) from error
            raise

    def send(
        self, to: str, data: bytes, value_wei: int = 0, gas: int | None = None, until: float = math.inf
    ) -> dict[str, Any]:
        """Sends a call and waits for its receipt, as the node gives it. ``until``: time.monotonic after which it is not
        handed over any more.

        Raises Refused, InsufficientFunds, ChainUnreachable, TransactionLost when it is not sent or mined in time.
        """
        used = self.estimate(to, data, value_wei) if gas is None else gas
        limit = int(used * GAS_MARGIN) + GAS_EXTRA if data else used
        call = {
            "to": to,
            "data": _hex(data),
            "value": value_wei,
            "gas": limit,
            "chainId": self.chain_id,
            "type": 2,
        }
        if isinstance(self.signer, DevSigner):
            receipt = self._send_unlocked(call)
        else:
            receipt = self._send_signed(call, self.signer, until)
        self._watch_funds(receipt)
        if int(receipt["status"], 16) != 1:
            raise self._failed(receipt, call)
        return receipt

    def _send_unlocked(self, call: Mapping[str, Any]) -> dict[str, Any]:
        request = {"from": self.signer.address, "to": call["to"], "data": call["data"]}
        request |= {"value": hex(call["value"]), "gas": hex(call["gas"])}
        try:
            sent: str = self.rpc.request("eth_sendTransaction", request)
        except RpcError as error:
            raise self._translated(error, call) from error
        return self._receipt_of([sent], None)

    def _send_signed(self, call: Mapping[str, Any], signer: Signer, until: float) -> dict[str, Any]:
        try:
            with self._lock.acquire(timeout=self.timeout_seconds):
                retrying = Retrying(
                    stop=stop_after_attempt(ATTEMPTS),
                    wait=wait_exponential(multiplier=0.05, max=2),
                    retry=retry_if_exception_type(_Overtaken),
                    reraise=True,
                )
                transaction, sent = retrying(self._sign_and_broadcast, call, signer, until)
        except Timeout:
            raise TransactionLost(
                f"Another process holds account {signer.address} since {self.timeout_seconds:.0f} s; nothing was sent.",
                "See which process uses this account, and try again.",
            ) from None
        return self._receipt_of([sent], transaction)

    def _sign_and_broadcast(
        self, call: Mapping[str, Any], signer: Signer, until: float
    ) -> tuple[dict[str, Any], str]:
        transaction = {**call, "nonce": self._count("pending"), **self.fees.current()}
        return transaction, self._broadcast(transaction, signer, until)

    def _broadcast(
        self,
        transaction: Mapping[str, Any],
        signer: Signer,
        until: float = math.inf,
        *,
        replaces: bool = False,
    ) -> str:
        """Hands the node a signed transaction until it has it; returns the hash.

        One whose estimate is stale is estimated again, so that it does not fail on a chain that has moved on; not so
        one that replaces another, which may have been mined in this moment."""
        raw, sent = signer.sign_transaction(transaction)
        for attempt in range(ATTEMPTS):
            try:
                if not replaces and self._is_there_or_still_good(sent, transaction):
                    return sent
                if time.monotonic() > until:
                    raise TransactionLost(
                        f"It took too long until a transaction of account {signer.address} could be sent.",
                        "Look again whether it is still wanted.",
                    )
                self.rpc.request("eth_sendRawTransaction", _hex(raw))
            except ChainUnreachable:
                # The answer is lost, not necessarily the transaction: the same bytes may be handed over again.
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(FIRST_POLL_SECONDS * 2**attempt)
                continue
            except RpcError as error:
                if _says(error, KNOWN) or (_says(error, NONCE_BEHIND) and self._has(sent)):
                    return sent
                if _says(error, UNDERPRICED) and not _says(error, OCCUPIED):
                    self.fees.refresh()
                raise self._translated(error, transaction) from error
            return sent
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _is_there_or_still_good(self, sent: str, transaction: Mapping[str, Any]) -> bool:
        """Whether the node has it by now. Raises Refused when it has not, and the transaction would fail by now."""
        if time.monotonic() - self._estimated_at <= FRESH_SECONDS:
            return False
        if self._has(sent):
            return True
        self.estimate(transaction["to"], bytes.fromhex(transaction["data"][2:]), transaction["value"])
        return False

    def _has(self, sent: str) -> bool:
        return self.rpc.request("eth_getTransactionByHash", sent) is not None

    def _receipt_of(self, hashes: list[str], transaction: dict[str, Any] | None) -> dict[str, Any]:
        """The receipt of whichever of these is mined: a transaction and the replacements that carry a higher fee."""
        started = replaced = asked = time.monotonic()
        pause = FIRST_POLL_SECONDS
        while True:
            for sent in hashes:
                receipt: dict[str, Any] | None = self.rpc.request("eth_getTransactionReceipt", sent)
                if receipt and receipt.get("blockNumber"):
                    return receipt
            waited = time.monotonic() - started
            if waited > self.timeout_seconds:
                raise TransactionLost(
                    f"Transaction {hashes[-1]} of account {self.signer.address} was not mined within {waited:.0f} s.",
                    "It may still be: look it up before you repeat it. Fees may have risen, or the node lag behind.",
                )
            if transaction and time.monotonic() - replaced > REPLACE_AFTER_SECONDS:
                replaced = time.monotonic()
                hashes = hashes + self._replacement(transaction)
            if transaction and time.monotonic() - asked > FORGOTTEN_SECONDS:
                asked = time.monotonic()
                self._remind(hashes, transaction)
            time.sleep(pause)
            pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)

    def _remind(self, hashes: list[str], transaction: dict[str, Any]) -> None:
        """Hands the newest of these over again when the node, restarted perhaps, knows none of them any more."""
        assert isinstance(self.signer, Signer)
        if not any(self._has(sent) for sent in hashes):
            log.warning("transaction %s is unknown to the node: handing it over again", transaction["nonce"])
            self._broadcast(transaction, self.signer)

    def _replacement(self, transaction: dict[str, Any]) -> list[str]:
        """The same transaction with higher fees, when the base fee has left it behind."""
        assert isinstance(self.signer, Signer)
        self.fees.refresh()
        offered = self.fees.current()
        if offered["maxFeePerGas"] <= transaction["maxFeePerGas"]:
            return []
        for key in ("maxFeePerGas", "maxPriorityFeePerGas"):
            transaction[key] = max(offered[key], int(transaction[key] * REPLACE_FACTOR) + 1)
        log.warning("transaction %s waits: fees have risen; sending it again with more", transaction["nonce"])
        try:
            return [self._broadcast(transaction, self.signer, replaces=True)]
        except _Overtaken:
            # Mined in this moment, most likely: the next look at the receipts tells.
            return []

    def _failed(self, receipt: Mapping[str, Any], call: Mapping[str, Any]) -> ChainError:
        """Why a mined transaction failed: replayed on the state before its block."""
        block = int(receipt["blockNumber"], 16)
        request = {
            "from": self.signer.address,
            "to": call["to"],
            "data": call["data"],
            "value": hex(call["value"]),
        }
        before = hex(max(0, block - 1))
        if refusal := self._replayed(request, hex(block)) or self._replayed(request, before):
            return refusal
        if int(receipt["gasUsed"], 16) >= call["gas"]:
            return ChainError(f"Transaction {receipt['transactionHash']} ran out of gas.", "Try again.")
        return ChainError(
            f"Transaction {receipt['transactionHash']} failed in block {block} and would succeed now.",
            "Another transaction came in between. Look again, then try again.",
        )

    def _replayed(self, call: Mapping[str, Any], block: str = "latest") -> ChainError | None:
        try:
            self.rpc.request("eth_call", dict(call), block)
        except RpcError as error:
            return reverts.refusal(error)
        return None

    def _translated(self, error: RpcError, call: Mapping[str, Any]) -> ChainError:
        """What a node's refusal to take a transaction means."""
        if _says(error, NO_FUNDS):
            return self._cannot_pay(call["value"] + call["gas"] * call.get("maxFeePerGas", 0))
        if _says(error, NONCE_BEHIND + OCCUPIED + UNDERPRICED):
            return _Overtaken(
                f"The node keeps refusing the transaction: {error.reason}", "Try again in a minute."
            )
        return reverts.refusal(error) or error

    def _cannot_pay(self, needed_wei: int) -> InsufficientFunds:
        balance = int(self.rpc.request("eth_getBalance", self.signer.address, "latest"), 16)
        return InsufficientFunds(
            f"Account {self.signer.address} holds {ether(balance)} ETH; the transaction may cost up to"
            f" {ether(needed_wei)} ETH.",
            "Send it some, then try again; nothing was sent.",
        )

    def _watch_funds(self, receipt: Mapping[str, Any]) -> None:
        """A line in the log when the account can pay for few more transactions like this one."""
        self._sends += 1
        if self._sends % FUNDS_EVERY_SENDS != 1:
            return
        cost = int(receipt["gasUsed"], 16) * self.fees.current()["maxFeePerGas"]
        balance = int(self.rpc.request("eth_getBalance", self.signer.address, "latest"), 16)
        if balance < cost * LOW_FUNDS_TRANSACTIONS:
            log.warning(
                "account %s runs low: %s ETH pay for about %s more transactions",
                self.signer.address,
                ether(balance),
                balance // max(cost, 1),
            )


def ether(wei: int) -> str:
    """Wei in ETH, to six digits: ``0.0125``."""
    return f"{wei / WEI:.6f}".rstrip("0").rstrip(".")


def _says(error: RpcError, phrases: tuple[str, ...]) -> bool:
    reason = error.reason.lower()
    return any(phrase in reason for phrase in phrases)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
