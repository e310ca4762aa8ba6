"""One chain, one deployment, at most one account: calls, transactions, time.

chain = Chain(rpc_url, Deployment.load(path), signer)
Jobs(chain).job(3)
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from protocol.chain import abi, reverts
from protocol.chain.accounts import Signer
from protocol.chain.clock import Clock
from protocol.chain.deployment import Deployment
from protocol.chain.development import DevSigner
from protocol.chain.events import Event, decoded
from protocol.chain.rpc import Rpc, RpcError
from protocol.chain.sending import FIRST_POLL_SECONDS, SLOWEST_POLL_SECONDS, Outbox
from protocol.errors import AccountError, ChainError, InvalidInput, Refused, TransactionLost, WrongChain

# contract, function, arguments
Call = tuple[str, str, Sequence[Any]]


@dataclass(frozen=True)
class Receipt:
    """A transaction that was mined and succeeded. ``events`` are those of our contracts, in order."""

    tx_hash: str
    block: int
    gas_used: int
    fee_wei: int
    events: tuple[Event, ...]
    _clock: Clock = field(repr=False, compare=False)

    @property
    def timestamp(self) -> int:
        """Unix seconds of its block; asked of the node at first use."""
        return self._clock.timestamp(self.block)

    def event(self, name: str) -> Event:
        """The first event of this name. Raises ChainError when there is none."""
        for event in self.events:
            if event.name == name:
                return event
        raise ChainError(f"Transaction {self.tx_hash} succeeded without the event {name}.")


class Chain:
    """A connection to the chain of a deployment, checked when it is made.

    ``confirmations``: blocks that must follow before a transaction counts and an event is read (0 in development).
    ``timeout_seconds``: longest wait for a transaction. ``lock_folder``: where processes that share an account take
    turns; by default a folder of this user.
    Raises ChainUnreachable or WrongChain.
    """

    def __init__(
        self,
        rpc_url: str,
        deployment: Deployment,
        signer: Signer | DevSigner | None = None,
        *,
        confirmations: int = 0,
        timeout_seconds: float = 180,
        lock_folder: Path | None = None,
    ) -> None:
        if confirmations < 0:
            raise InvalidInput(f"{confirmations} confirmations are not possible.", "Give 0 or more.")
        self.deployment = deployment
        self.rpc = Rpc(rpc_url)
        deployment.check(self.rpc)
        self.clock = Clock(self.rpc, deployment.chain_id, confirmations)
        self.confirmations, self.timeout_seconds = confirmations, timeout_seconds
        self._lock_folder = lock_folder or _common_folder()
        self._block, self._until = "latest", math.inf
        self._use(signer)

    def with_signer(self, signer: Signer | DevSigner | None) -> Self:
        """The same connection with another account."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._use(signer)
        return other

    def as_of(self, block: int) -> Self:
        """The same connection; its calls answer as of the end of a block: a recent one, on nodes without an archive."""
        other = self.with_signer(self.signer)
        other._block = hex(block)
        return other

    def until(self, deadline: float) -> Self:
        """The same connection; once ``deadline`` (of time.monotonic) has passed it hands over no transaction and raises
        TransactionLost: for a step that is then somebody else's to take."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._until = deadline
        return other

    def _use(self, signer: Signer | DevSigner | None) -> None:
        self.signer = signer
        self._outbox = (
            Outbox(self.rpc, self.deployment.chain_id, signer, self._lock_folder, self.timeout_seconds)
            if signer is not None
            else None
        )

    # -- reading -----------------------------------------------------------------------------------------------------

    def address(self, contract: str) -> str:
        """A contract's address by name (an address is returned as it is)."""
        return self.deployment.address(contract)

    def call(self, contract: str, function: str, *args: Any, at: str | None = None) -> Any:
        """Calls a view at the newest block: a value, or a tuple; structs are dictionaries by Solidity's names.

        With `as_of` at another block. ``at``: another address that speaks this contract's interface. Raises Refused
        with the contract's reason.
        """
        return self._decoded(contract, function, self._asked(self._request(contract, function, args, at)))

    def call_many(self, calls: Iterable[Call]) -> list[Any]:
        """Several views in one round trip. The first refusal is raised."""
        wanted = list(calls)
        requests = [
            ("eth_call", self._request(contract, function, args, None)) for contract, function, args in wanted
        ]
        try:
            results = self.rpc.batch(requests)
        except RpcError as error:
            raise reverts.refusal(error) or error from error
        return [
            self._decoded(contract, function, result)
            for (contract, function, _), result in zip(wanted, results, strict=True)
        ]

    def _request(self, contract: str, function: str, args: Sequence[Any], at: str | None) -> list[Any]:
        data = abi.encode_call(contract, function, args)
        request = {"to": self.address(at or contract), "data": "0x" + data.hex()}
        if self.signer is not None:
            request["from"] = self.signer.address
        return [request, self._block]

    def _asked(self, request: list[Any]) -> str:
        try:
            return str(self.rpc.request("eth_call", *request))
        except RpcError as error:
            raise reverts.refusal(error) or error from error

    def _decoded(self, contract: str, function: str, result: str) -> Any:
        if result == "0x" and abi.load(contract).function(function).outputs:
            raise WrongChain(
                f"No contract answers {contract}.{function}.", "The address is not that of such a contract."
            )
        return abi.decode_result(contract, function, bytes.fromhex(result[2:]))

    def head(self) -> int:
        """The newest block with enough confirmations."""
        return self.clock.head()

    def now(self) -> int:
        """The chain's time: unix seconds of the newest block."""
        return self.clock.now()

    def timestamp(self, block: int) -> int:
        """Unix seconds of a block; kept after the first question."""
        return self.clock.timestamp(block)

    def balance(self, address: str) -> int:
        """What an account holds of the chain's own currency, in wei."""
        return int(self.rpc.request("eth_getBalance", self.address(address), "latest"), 16)

    def cost_of(self, tx_hash: str) -> tuple[str, int]:
        """What a mined transaction called, as ``TrainingJobs.submit``, and the gas it used.

        Raises ChainError when the node does not know the transaction, or it called none of our contracts.
        """
        questions = [("eth_getTransactionByHash", [tx_hash]), ("eth_getTransactionReceipt", [tx_hash])]
        transaction, receipt = self.rpc.batch(questions)
        if not transaction or not receipt:
            raise ChainError(
                f"The node does not know transaction {tx_hash}.", "It may not have caught up yet."
            )
        contract = self.deployment.name_of(transaction["to"] or "")
        if contract is None:
            raise ChainError(f"Transaction {tx_hash} called none of our contracts.")
        function, _ = abi.decode_call(contract, bytes.fromhex(transaction["input"][2:]))
        return f"{contract}.{function}", int(receipt["gasUsed"], 16)

    def token_balance(self, token: str, holder: str) -> int:
        """What ``holder`` has of an ERC-20 token, in its smallest unit. Both by name or address."""
        return int(self.call(abi.ERC20, "balanceOf", self.address(holder), at=token))

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(self, contract: str, function: str, *args: Any, at: str | None = None) -> Receipt:
        """Sends a transaction and waits until it is mined and confirmed.

        It is estimated first: one that would fail is not sent. Raises Refused with the contract's reason, AccountError
        without an account, InsufficientFunds, ChainUnreachable, TransactionLost.
        """
        return self._send(self.address(at or contract), abi.encode_call(contract, function, args))

    def transfer(self, to: str, amount_wei: int) -> Receipt:
        """Sends the chain's own currency."""
        return self._send(self.address(to), b"", amount_wei)

    def estimate(self, contract: str, function: str, *args: Any, at: str | None = None) -> int:
        """Gas that a transaction would use now. Raises Refused when it would fail."""
        return self._estimate(self.address(at or contract), abi.encode_call(contract, function, args), 0)

    def _send(self, to: str, data: bytes, value_wei: int = 0) -> Receipt:
        self._sender().settle()
        gas = self._estimate(to, data, value_wei)
        return self._receipt(self._confirmed(self._sender().send(to, data, value_wei, gas, self._until)))

    def _estimate(self, to: str, data: bytes, value_wei: int) -> int:
        try:
            return self._sender().estimate(to, data, value_wei)
        except Refused:
            # A development chain estimates at the time of its newest block, which may be long past.
            if not self.clock.wake():
                raise
        return self._sender().estimate(to, data, value_wei)

    def _sender(self) -> Outbox:
        if self._outbox is None:
            raise AccountError(
                "This needs an account to sign with.", "Give --account; `salus account list` shows them."
            )
        return self._outbox

    def _confirmed(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """The receipt once enough blocks follow it; the one that then stands, should a reorganisation have moved it."""
        if not self.confirmations:
            return receipt
        deadline, pause = time.monotonic() + self.timeout_seconds, FIRST_POLL_SECONDS
        while self.head() < int(receipt["blockNumber"], 16):
            if time.monotonic() > deadline:
                raise TransactionLost(
                    f"Transaction {receipt['transactionHash']} was mined, and {self.confirmations} blocks did not"
                    f" follow within {self.timeout_seconds:.0f} s.",
                    "Look it up before you repeat it.",
                )
            time.sleep(pause)
            pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)
        standing: dict[str, Any] | None = self.rpc.request(
            "eth_getTransactionReceipt", receipt["transactionHash"]
        )
        if not standing or standing["blockHash"] != receipt["blockHash"]:
            raise TransactionLost(
                f"A reorganisation of the chain removed transaction {receipt['transactionHash']} from its block.",
                "It may be mined again: look it up before you repeat it.",
            )
        return standing

    def _receipt(self, raw: dict[str, Any]) -> Receipt:
        found: list[Event] = []
        for log in raw["logs"]:
            if contract := self.deployment.name_of(log["address"]):
                found += decoded(contract, [log])
        gas_used = int(raw["gasUsed"], 16)
        return Receipt(
            tx_hash=raw["transactionHash"],
            block=int(raw["blockNumber"], 16),
            gas_used=gas_used,
            fee_wei=gas_used * int(raw.get("effectiveGasPrice", "0x0"), 16),
            events=tuple(found),
            _clock=self.clock,
        )


def _common_folder() -> Path:
    """A folder that all processes of this user share until the machine restarts."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"salus-{os.getuid()}"
