"""Ganache as the development chain, with what only a development chain can do: move its clock, make ether."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from protocol.chain.rpc import Rpc
from protocol.data import files
from protocol.devnet.daemon import LOOPBACK, Daemon, answers, tool
from protocol.errors import ChainError, InvalidInput

CHAIN_ID = 1337
BLOCK_GAS_LIMIT = 30_000_000


class Ganache(Daemon):
    """A chain that mines each transaction at once and keeps its blocks in `folder`. It knows no private key."""

    def __init__(self, folder: Path, log: Path, address: str = LOOPBACK) -> None:
        super().__init__("ganache", folder, log)
        self.address, self.port = address, 0

    @property
    def url(self) -> str:
        """URL of its JSON-RPC."""
        return f"http://{self.address}:{self.port}"

    @property
    def rpc(self) -> Rpc:
        """A client of its JSON-RPC."""
        return Rpc(self.url)

    def start(self) -> None:
        """Starts the process; `wait_ready` waits for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "--server.host": self.address,
            "--server.port": self.port,
            "--chain.chainId": CHAIN_ID,
            "--chain.networkId": CHAIN_ID,
            "--chain.hardfork": "shanghai",
            "--miner.blockGasLimit": BLOCK_GAS_LIMIT,
            "--wallet.totalAccounts": 0,
            "--database.dbPath": self.folder,
            # From its first block on: whoever is quicker than we are must not find a clock that fell back.
            "--chain.time": datetime.fromtimestamp(time.time() + self._ahead(), UTC).isoformat(),
        }
        words = [str(word) for option in options.items() for word in option]
        self.launch([tool("ganache"), *words, "--logging.quiet"])

    def wait_ready(self, seconds: float) -> None:
        """Waits until it answers, and sees to it that its clock did not fall back. Raises DevnetError."""
        self.wait_until(self._answers, seconds)
        # Its start took time, and others may have moved its clock further than we noted.
        now = max(self.timestamp() + 1, time.time() + self._ahead())
        self.rpc.request("evm_setTime", int(now * 1000))
        self._note_ahead(now)

    def _answers(self) -> bool:
        # A bare connection first: the client repeats a refused one for seconds.
        if not answers(self.port, self.address):
            return False
        try:
            return int(self.rpc.request("eth_chainId"), 16) == CHAIN_ID
        except ChainError:
            return False

    def height(self) -> int:
        """Number of the last block."""
        return int(self.rpc.request("eth_blockNumber"), 16)

    def timestamp(self) -> int:
        """Timestamp of the last block, unix seconds."""
        return int(self.rpc.request("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def advance_time(self, seconds: int) -> int:
        """Moves the clock forward and mines a block. Returns its timestamp, unix seconds."""
        if seconds < 0:
            raise InvalidInput(
                f"Time cannot go back by {-seconds} s.", "Give a number of seconds to move forward."
            )
        rpc = self.rpc
        rpc.request("evm_increaseTime", seconds)
        rpc.request("evm_mine")
        now = self.timestamp()
        self._note_ahead(now)
        return now

    @property
    def clock_file(self) -> Path:
        """How many seconds ahead of the machine's clock it is."""
        return self.folder.with_name(f"{self.folder.name}.clock")

    def _note_ahead(self, now: float) -> None:
        """A Ganache that is started anew is at the machine's time, unless it is told how far ahead it was."""
        files.replace(self.clock_file, str(max(0.0, now - time.time())).encode())

    def _ahead(self) -> float:
        """Seconds that the chain's clock is ahead of the machine's."""
        return float(self.clock_file.read_text()) if self.clock_file.exists() else 0.0

    def fund(self, address: str, amount_wei: int) -> None:
        """Gives an account ether out of nothing, on top of what it has."""
        rpc = self.rpc
        balance = int(rpc.request("eth_getBalance", address, "latest"), 16)
        rpc.request("evm_setAccountBalance", address, hex(balance + amount_wei))
