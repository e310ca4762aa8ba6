"""A development network on one machine: Ganache, an IPFS daemon and the contracts, kept in one folder."""

from protocol.devnet.network import Devnet, Status

__all__ = ["Devnet", "Status"]
