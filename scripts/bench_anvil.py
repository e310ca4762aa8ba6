"""Anvil in place of Ganache, for the comparison with Flower: how much of a round is the development chain itself.

The contracts, the client and the nodes are the same; only the process that plays the chain is another. It is fetched
once, at a pinned version, into ``build/anvil``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from protocol.devnet import Devnet
from protocol.devnet.ganache import BLOCK_GAS_LIMIT, CHAIN_ID, Ganache
from protocol.errors import DevnetError

PACKAGE = "@foundry-rs/anvil-linux-amd64"
VERSION = "1.7.1"
FOLDER = Path(__file__).resolve().parent.parent / "build" / "anvil"
BINARY = FOLDER / "node_modules" / PACKAGE / "bin" / "anvil"


class Anvil(Ganache):
    """A chain that mines each transaction at once, in memory."""

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "--host": self.address,
            "--port": self.port,
            "--chain-id": CHAIN_ID,
            "--hardfork": "shanghai",
            "--gas-limit": BLOCK_GAS_LIMIT,
            "--accounts": 0,
        }
        words = [str(word) for option in options.items() for word in option]
        self.launch([BINARY, *words, "--quiet"])

    def wait_ready(self, seconds: float) -> None:
        self.wait_until(self._answers, seconds)

    def fund(self, address: str, amount_wei: int) -> None:
        balance = int(self.rpc.request("eth_getBalance", address, "latest"), 16)
        self.rpc.request("anvil_setBalance", address, hex(balance + amount_wei))


def on_anvil(home: Path, say: Callable[[str], None]) -> Devnet:
    """A development network, not started yet, whose chain is Anvil. Raises DevnetError when it cannot be fetched."""
    if not BINARY.exists():
        say("Fetching Anvil (a few seconds)")
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--silent",
            "--prefix",
            FOLDER,
            f"{PACKAGE}@{VERSION}",
        ]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
        if done.returncode or not BINARY.exists():
            raise DevnetError(f"Anvil {VERSION} could not be fetched.", done.stderr[-500:])
    devnet = Devnet(home)
    devnet.chain = Anvil(devnet.chain.folder, devnet.home / "chain.log", devnet.chain.address)
    return devnet
