"""js-ipfs as the development IPFS daemon, with the RPC API that Kubo has: one node without peers, unless it is told
under which address others reach it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from protocol.content.ipfs import Ipfs
from protocol.devnet.daemon import LOOPBACK, Daemon, answers, run, tool
from protocol.errors import ContentError

INIT_SECONDS = 60


class JsIpfs(Daemon):
    """A daemon with its repository in `folder`. Swarm and gRPC want ports too, though nobody calls them.

    API and gateway listen on loopback only. With an ``address`` other than that, peers reach it there over libp2p."""

    def __init__(self, folder: Path, log: Path, address: str = LOOPBACK) -> None:
        super().__init__("ipfs", folder, log)
        self.address = address
        self.api_port = self.gateway_port = self.grpc_port = self.swarm_port = 0

    @property
    def api(self) -> str:
        """URL of its RPC API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def gateway(self) -> str:
        """URL of its gateway."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def peer_address(self) -> str:
        """Its multiaddr, for others to connect to; there once it was started."""
        identity = json.loads((self.folder / "config").read_text())["Identity"]["PeerID"]
        return f"/ip4/{self.address}/tcp/{self.swarm_port}/p2p/{identity}"

    def start(self) -> None:
        """Starts the process, after making a repository if there is none. Raises DevnetError."""
        # jsipfs asks the network for newer releases of itself unless told not to.
        environment = {"IPFS_PATH": str(self.folder), "NO_UPDATE_NOTIFIER": "1"}
        config = self.folder / "config"
        if not config.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            run(
                "jsipfs init",
                [tool("jsipfs"), "init", "--profile", "test"],
                environment,
                self.log,
                INIT_SECONDS,
            )
        settings = json.loads(config.read_text())
        settings["Addresses"].update(
            API=f"/ip4/127.0.0.1/tcp/{self.api_port}",
            Gateway=f"/ip4/127.0.0.1/tcp/{self.gateway_port}",
            RPC=f"/ip4/127.0.0.1/tcp/{self.grpc_port}",
            Swarm=[f"/ip4/{self.address}/tcp/{self.swarm_port}"],
        )
        partial = self.folder / "config.partial"
        partial.write_text(json.dumps(settings, indent=2))
        partial.replace(config)
        # A kill leaves the lock, and it would hold for 20 s. Nobody has this repository open: we start it only when no
        # process carries its mark.
        shutil.rmtree(self.folder / "repo.lock", ignore_errors=True)
        alone = ["--offline"] if self.address == LOOPBACK else []
        self.launch([tool("jsipfs"), "daemon", *alone], environment)

    def wait_ready(self, seconds: float) -> None:
        """Waits until it answers. Raises DevnetError."""
        self.wait_until(self._answers, seconds)

    def _answers(self) -> bool:
        # A bare connection first: the client waits long for a refused one.
        if not answers(self.api_port):
            return False
        try:
            with Ipfs(self.api) as ipfs:
                return bool(ipfs.check())
        except ContentError:
            return False
