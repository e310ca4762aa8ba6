"""The development network as a whole: up, down, status, reset.

Both daemons listen on loopback only and outlive the process that started them; `Devnet.down` stops them, and
`Devnet.up` brings the same chain and files up again. It needs a checkout with `make setup` done, since compiler, chain
and daemon are Node tools and deployment is Brownie's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from protocol.chain.accounts import Signer
from protocol.chain.deployment import Deployment
from protocol.devnet.daemon import LOOPBACK, free_port
from protocol.devnet.deploy import ETHER, FUNDS_ETHER, Accounts, deploy
from protocol.devnet.ganache import CHAIN_ID, Ganache
from protocol.devnet.jsipfs import JsIpfs
from protocol.errors import ChainError, DevnetError, InvalidInput

START_SECONDS = 60
LOCK_SECONDS = 300
PORTS = ("chain", "ipfs_api", "ipfs_gateway", "ipfs_grpc", "ipfs_swarm")


@dataclass(frozen=True)
class Status:
    """What runs. Process ids and block are None while the daemon is down."""

    home: Path
    rpc_url: str
    chain_pid: int | None
    block: int | None
    ipfs_api: str
    ipfs_pid: int | None
    deployment: Path
    deployed: bool

    @property
    def running(self) -> bool:
        """Whether both daemons are up."""
        return self.chain_pid is not None and self.ipfs_pid is not None


class Devnet:
    """The development network whose state lies in ``home`` (by custom ``.salus/devnet``).

    ``address``: where others reach the chain and the daemon's peers reach it; by default nobody does."""

    def __init__(self, home: Path, address: str = LOOPBACK) -> None:
        self.home = home.resolve()
        self.network_file = self.home / "network.json"
        self.deployment_file = self.home / "deployment.json"
        self.accounts = Accounts(self.home / "keystore", self.home / "password")
        self.chain = Ganache(self.home / "chain", self.home / "chain.log", address)
        self.ipfs = JsIpfs(self.home / "ipfs", self.home / "ipfs.log", address)
        self._ports_file = self.home / "ports.json"
        if self._ports_file.exists():
            self._use_ports(json.loads(self._ports_file.read_text()))

    def up(self, say: Callable[[str], None] = lambda _line: None) -> Status:
        """Starts what is down, and deploys the contracts on a fresh chain. ``say`` hears what happens.

        Raises:
            DevnetError: a tool is missing, a daemon does not start, or chain and deployment do not belong together.
        """
        with self._lock():
            self._start(say)
            _write(self.network_file, self._network())
            if not self.deployment_file.exists():
                deploy(self.chain, self.accounts, self.deployment_file, say)
            self._check_deployment()
        return self.status()

    def down(self) -> bool:
        """Stops both daemons and keeps their state. Returns whether any ran."""
        if not self.home.exists():
            return False
        with self._lock():
            return any([self.ipfs.stop(), self.chain.stop()])

    def reset(self) -> None:
        """Stops both daemons and forgets chain, files, contracts and development keys."""
        if not self.home.exists():
            return
        with self._lock():
            self.ipfs.stop()
            self.chain.stop()
            for folder in (self.chain.folder, self.ipfs.folder, self.accounts.folder):
                shutil.rmtree(folder, ignore_errors=True)
            for file in (
                self.network_file,
                self.deployment_file,
                self.accounts.password_file,
                self._ports_file,
                self.chain.clock_file,
                *(self.home / name for name in ("chain.log", "ipfs.log", "deploy.log", "deploy.json")),
            ):
                file.unlink(missing_ok=True)

    def status(self) -> Status:
        """What runs now. Starts nothing."""
        chain_pid = self.chain.pid()
        return Status(
            home=self.home,
            rpc_url=self.chain.url,
            chain_pid=chain_pid,
            block=self.chain.height() if chain_pid is not None else None,
            ipfs_api=self.ipfs.api,
            ipfs_pid=self.ipfs.pid(),
            deployment=self.deployment_file,
            deployed=self.deployment_file.exists(),
        )

    @property
    def password_file(self) -> Path:
        """File with the password of the development accounts."""
        return self.accounts.password_file

    def signer(self, name: str) -> Signer:
        """One of the development accounts (deployer, researcher, holder-1 to holder-3), opened. Raises AccountError."""
        return self.accounts.keystore.unlock(name, self.accounts.password)

    def advance_time(self, seconds: int) -> int:
        """Moves the chain's clock forward and mines a block. Returns its timestamp, unix seconds."""
        return self.chain.advance_time(seconds)

    def fund(self, address: str, amount_wei: int = FUNDS_ETHER * ETHER) -> None:
        """Gives an account ether out of nothing, on top of what it has."""
        self.chain.fund(address, amount_wei)

    def _start(self, say: Callable[[str], None]) -> None:
        chain_runs, ipfs_runs = self.chain.pid() is not None, self.ipfs.pid() is not None
        self._choose_ports(chain_runs, ipfs_runs)
        if not chain_runs:
            say("Starting the chain")
            self.chain.start()
        if not ipfs_runs:
            say("Starting the IPFS daemon")
            self.ipfs.start()
        self.chain.wait_ready(START_SECONDS)
        self.ipfs.wait_ready(START_SECONDS)

    def _choose_ports(self, chain_runs: bool, ipfs_runs: bool) -> None:
        """The ports of last time where they are in use by us or still free, others elsewhere."""
        known = json.loads(self._ports_file.read_text()) if self._ports_file.exists() else {}
        ports: dict[str, int] = {}
        for name in PORTS:
            runs = chain_runs if name == "chain" else ipfs_runs
            if runs and name not in known:
                raise DevnetError(
                    f"{self._ports_file} is gone while its daemons run.", "Run `salus devnet down` first."
                )
            ports[name] = known[name] if runs else free_port(known.get(name), ports.values())
        _write(self._ports_file, ports)
        self._use_ports(ports)

    def _use_ports(self, ports: dict[str, int]) -> None:
        self.chain.port = ports["chain"]
        self.ipfs.api_port = ports["ipfs_api"]
        self.ipfs.gateway_port = ports["ipfs_gateway"]
        self.ipfs.grpc_port = ports["ipfs_grpc"]
        self.ipfs.swarm_port = ports["ipfs_swarm"]

    def _check_deployment(self) -> None:
        try:
            Deployment.load(self.deployment_file).check(self.chain.rpc)
        except (ChainError, InvalidInput) as error:
            raise DevnetError(
                f"Chain and contracts in {self.home} do not belong together: {error.message}",
                "Run `salus devnet reset`, then `salus devnet up`.",
            ) from error

    def _network(self) -> dict[str, Any]:
        """What a client needs to know; paths are relative to the file."""
        return {
            "name": "devnet",
            "chain_id": CHAIN_ID,
            "rpc_url": self.chain.url,
            "ipfs_api": self.ipfs.api,
            "ipfs_gateway": self.ipfs.gateway,
            "deployment": self.deployment_file.name,
            "keystore": self.accounts.folder.name,
            "password_file": self.accounts.password_file.name,
        }

    def _lock(self) -> AbstractContextManager[Any]:
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        try:
            return FileLock(self.home / ".lock").acquire(timeout=LOCK_SECONDS)
        except Timeout as error:
            raise DevnetError(
                f"Another process is starting or stopping {self.home}.", "Wait for it to end, and try again."
            ) from error


def _write(path: Path, content: Any) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
