"""What only a development chain allows: accounts that the node signs for, and time that moves on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils import is_address, to_checksum_address

from protocol.errors import InvalidInput, WrongChain

if TYPE_CHECKING:
    from protocol.chain.client import Chain
    from protocol.chain.rpc import Rpc

# Ganache, its window, Anvil and Hardhat.
CHAIN_IDS = (1337, 5777, 31337)


class DevSigner:
    """An account that the development node keeps unlocked. On any other chain it is refused before anything is sent."""

    __slots__ = ("address",)

    def __init__(self, address: str) -> None:
        if not is_address(address):
            raise InvalidInput(f"{address!r} is not an address.")
        self.address: str = to_checksum_address(address)

    def __repr__(self) -> str:
        return f"DevSigner({self.address})"


def require_development(chain_id: int) -> None:
    """Raises WrongChain on any chain but a development chain."""
    if chain_id not in CHAIN_IDS:
        raise WrongChain(
            f"Chain {chain_id} is no development chain: it has no unlocked accounts and its time cannot be moved.",
            "Use an account of your keystore: `salus account list`.",
        )


def advance(chain: Chain, seconds: int) -> None:
    """Moves a development chain's time and mines a block at the new time. Raises WrongChain elsewhere."""
    require_development(chain.deployment.chain_id)
    chain.rpc.request("evm_increaseTime", seconds)
    mine(chain.rpc)


def mine(rpc: Rpc) -> None:
    """Mines an empty block."""
    rpc.request("evm_mine")
