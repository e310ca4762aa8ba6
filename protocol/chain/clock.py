"""The chain's time and height.

Ganache and Anvil mine on demand and answer calls and estimates at the time of their newest block, so on an idle
development chain time would stand still and no deadline pass. There, who asks for the time has an empty block mined
when the newest one is over a second old; a public chain never sees this.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

from protocol.chain import development
from protocol.chain.rpc import Rpc, RpcError
from protocol.errors import ChainError

IDLE_SECONDS = 1.0
KEPT_TIMESTAMPS = 10_000


class Clock:
    """Block numbers and times, as one node tells them."""

    def __init__(self, rpc: Rpc, chain_id: int, confirmations: int) -> None:
        self.rpc, self.confirmations = rpc, confirmations
        self._mines_on_demand = chain_id in development.CHAIN_IDS
        self._newest = (-1, 0.0)
        self._timestamps: OrderedDict[int, int] = OrderedDict()

    def head(self) -> int:
        """The newest block with enough confirmations; never below 0."""
        return max(0, int(self.rpc.request("eth_blockNumber"), 16) - self.confirmations)

    def now(self) -> int:
        """Unix seconds of the newest block."""
        number, timestamp = self._latest()
        if self._is_idle(number) and self.wake():
            _, timestamp = self._latest()
        return timestamp

    def wake(self) -> bool:
        """Mines an empty block where blocks come only on demand; whether there is a new one."""
        if not self._mines_on_demand:
            return False
        try:
            development.mine(self.rpc)
        except RpcError:
            # A private chain with a development id that mines by itself.
            self._mines_on_demand = False
        return self._mines_on_demand

    def timestamp(self, block: int) -> int:
        """Unix seconds of a block. Raises ChainError when the node does not have it."""
        if block not in self._timestamps:
            self.read_timestamps([block])
        return self._timestamps[block]

    def read_timestamps(self, blocks: Iterable[int]) -> None:
        """Asks for those that are not known yet in one round trip, before they are wanted one by one."""
        unknown = sorted(set(blocks) - set(self._timestamps))
        questions = [("eth_getBlockByNumber", [hex(block), False]) for block in unknown]
        for block, found in zip(unknown, self.rpc.batch(questions), strict=True):
            if not found:
                raise ChainError(f"The node has no block {block}.", "It may not have caught up yet.")
            self._timestamps[block] = int(found["timestamp"], 16)
        while len(self._timestamps) > KEPT_TIMESTAMPS:
            self._timestamps.popitem(last=False)

    def forget(self, after: int) -> None:
        """Forgets the times of blocks after this one, which a reorganisation replaced."""
        for block in [each for each in self._timestamps if each > after]:
            del self._timestamps[block]

    def _latest(self) -> tuple[int, int]:
        found = self.rpc.request("eth_getBlockByNumber", "latest", False)
        return int(found["number"], 16), int(found["timestamp"], 16)

    def _is_idle(self, number: int) -> bool:
        """Whether this block has been the newest for over a second, as far as we have looked."""
        if number != self._newest[0]:
            self._newest = (number, time.monotonic())
            return False
        return time.monotonic() - self._newest[1] > IDLE_SECONDS
