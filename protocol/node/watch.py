"""Whether the blocks that a node has read are still there.

Events are read from blocks that enough others have followed, so a reorganisation shorter than the confirmation setting
replaces nothing that was read. One that is longer, or any where nothing is waited for, shows in the hash of a block
that was read: then what came of the blocks from there on is forgotten and read again, and the operator is told.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from protocol.chain.client import Chain

log = logging.getLogger(__name__)

KEPT_BLOCKS = 4096


@dataclass(frozen=True)
class Reorganisation:
    """Blocks that were read and are no longer there. ``fork``: a block before them that still stands."""

    fork: int
    read_to: int
    confirmations: int

    def __str__(self) -> str:
        return (
            f"the chain was reorganised: blocks after {self.fork} were replaced, of which this node had read up to"
            f" {self.read_to} with {self.confirmations} confirmations; what they held is forgotten and read again"
        )


class ChainWatch:
    """The blocks up to which a node has read, by their hashes. ``reorganisations``: those it saw, oldest first."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.reorganisations: list[Reorganisation] = []
        self._read: deque[tuple[int, str]] = deque(maxlen=KEPT_BLOCKS)

    def head(self) -> int:
        """The newest block with enough confirmations, once it is known that those read before still stand."""
        head = self.chain.head()
        last = self._read[-1] if self._read else None
        wanted = [head] if last is None or last[0] == head else [last[0], head]
        found = self._hashes(wanted)
        if last is not None and found.get(last[0]) != last[1]:
            self._rewind(head, last[0])
        if head in found and (not self._read or self._read[-1][0] < head):
            self._read.append((head, found[head]))
        return self._read[-1][0] if self._read else head

    def _rewind(self, head: int, read_to: int) -> None:
        """Forgets the blocks that are no longer there."""
        while self._read:
            number, known = self._read[-1]
            if number <= head and self._hashes([number]).get(number) == known:
                break
            self._read.pop()
        fork = self._read[-1][0] if self._read else self.chain.deployment.block - 1
        self.chain.clock.forget(fork)
        self.reorganisations.append(Reorganisation(fork, read_to, self.chain.confirmations))
        log.warning("%s", self.reorganisations[-1])

    def _hashes(self, blocks: list[int]) -> dict[int, str]:
        """The hashes of blocks; one that the node does not have is left out."""
        answers = self.chain.rpc.batch([("eth_getBlockByNumber", [hex(block), False]) for block in blocks])
        return {block: found["hash"] for block, found in zip(blocks, answers, strict=True) if found}
