"""Events, in the order of the chain: read in pages that shrink when a node finds them too large."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protocol.chain import abi
from protocol.chain.rpc import RpcError
from protocol.errors import InvalidInput

if TYPE_CHECKING:
    from protocol.chain.client import Chain

PAGE_BLOCKS = 2_000


@dataclass(frozen=True)
class Event:
    """One event. ``args`` by Solidity's names, structs as dictionaries by theirs; ``tx_hash`` is "0x…"."""

    name: str
    contract: str
    args: Mapping[str, Any]
    block: int
    log_index: int
    tx_hash: str

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among all events of the chain."""
        return self.block, self.log_index


def events(
    chain: Chain,
    contract: str,
    names: Iterable[str] | None = None,
    *,
    from_block: int | None = None,
    to_block: int | None = None,
    page: int = PAGE_BLOCKS,
    **indexed: Any,
) -> Iterator[Event]:
    """A contract's events between two blocks, both included, in the order of the chain.

    ``names`` None: every event that has the ``indexed`` arguments. ``indexed``: values of indexed arguments by
    Solidity's names (``jobId=3``). By default from the deployment's first block to the newest with enough
    confirmations. ``page``: blocks to start with; it doubles while the node answers and halves when it refuses.
    Raises InvalidInput for an event or indexed argument that the contract does not have.
    """
    first = chain.deployment.block if from_block is None else from_block
    last = chain.head() if to_block is None else to_block
    groups = _topics(contract, names, indexed)
    address = chain.address(contract)
    ceiling: int | None = None
    while first <= last:
        end = min(last, first + page - 1)
        bounds = {"fromBlock": hex(first), "toBlock": hex(end), "address": address}
        try:
            logs = [
                log
                for topics in groups
                for log in chain.rpc.request("eth_getLogs", {**bounds, "topics": topics})
            ]
        except RpcError:
            if first == end:
                raise
            page = ceiling = (end - first + 1) // 2
            continue
        # Within a page as in the chain; the pages follow one another.
        yield from sorted(decoded(contract, logs), key=lambda event: event.place)
        first = end + 1
        page = page * 2 if ceiling is None else min(page * 2, ceiling)


def decoded(contract: str, logs: Iterable[Mapping[str, Any]]) -> Iterator[Event]:
    """A contract's logs as events; those of no known event, and those that a reorganisation removed, are left out."""
    known = abi.load(contract).events
    for log in logs:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        if log.get("removed") or not topics or topics[0] not in known:
            continue
        entry = known[topics[0]]
        yield Event(
            name=entry.name,
            contract=contract,
            args=abi.decode_log(entry, topics, bytes.fromhex(log["data"][2:])),
            block=int(log["blockNumber"], 16),
            log_index=int(log["logIndex"], 16),
            tx_hash=log["transactionHash"],
        )


def _topics(contract: str, names: Iterable[str] | None, indexed: Mapping[str, Any]) -> list[list[Any]]:
    """One list of topics a question: events that keep an argument at different places can not be asked for together."""
    known = {entry.name: entry for entry in abi.load(contract).events.values()}
    wanted = list(known) if names is None else list(names)
    if missing := [name for name in wanted if name not in known]:
        raise InvalidInput(
            f"{contract} has no event {', '.join(missing)}.", f"It has: {', '.join(sorted(known))}."
        )
    groups: dict[tuple[bytes | None, ...], list[str]] = defaultdict(list)
    for name in wanted:
        entry = known[name]
        parameters = [each for each in entry.inputs if each["indexed"]]
        if lacking := set(indexed) - {each["name"] for each in parameters}:
            if names is None:
                continue
            raise InvalidInput(f"Event {name} of {contract} is not indexed by {', '.join(sorted(lacking))}.")
        places = [
            abi.encode_topic(each, indexed[each["name"]]) if each["name"] in indexed else None
            for each in parameters
        ]
        while places and places[-1] is None:
            places.pop()
        groups[tuple(places)].append("0x" + entry.hash.hex())
    if not groups:
        raise InvalidInput(f"No event of {contract} is indexed by {', '.join(sorted(indexed))}.")
    return [
        [hashes, *(None if each is None else "0x" + each.hex() for each in places)]
        for places, hashes in groups.items()
    ]
