"""Brownie with this repository's compiler, a data folder of its own and a port of its own.

    python scripts/run_brownie.py [--rpc URL] COMMAND [ARGUMENTS]        as after `brownie`

Brownie keeps its networks and packages in the user's home and starts Ganache on port 8545, so two runs on one machine
meet on one chain. Here every run has its own folder and its own free port, and the user's settings stay untouched.
With ``--rpc URL`` the network ``attached`` is the development chain that listens there.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_networks(home: Path, rpc: str | None) -> None:
    """Brownie's list of networks, with Ganache on a free port, and the chain at ``rpc`` as ``attached``."""
    import yaml

    spec = importlib.util.find_spec("brownie")
    if spec is None or spec.origin is None:
        sys.exit("Brownie is not installed. Run `make setup`, then use .venv/bin/python.")
    data = Path(spec.origin).parent / "data"
    networks = yaml.safe_load((data / "network-config.yaml").read_text())
    for network in networks["development"]:
        if network["id"] == "ganache-cli":
            network["cmd_settings"]["port"] = free_port()
    if rpc is not None:
        # As a development network: Brownie looks for a transaction at once there, on live ones once a second.
        address, port = rpc.rsplit(":", 1)
        networks["development"].append(
            {
                "name": "Attached",
                "id": "attached",
                "cmd": "ganache-cli",
                "host": address,
                "cmd_settings": {"port": int(port)},
            }
        )
    folder = home / ".brownie"
    folder.mkdir()
    (folder / "network-config.yaml").write_text(yaml.safe_dump(networks))


def compile_first() -> None:
    """Compiles under a lock: Brownie writes its build files in place, and another run may be reading them."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with (build / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code = "import sys; sys.argv = ['brownie', 'compile']; from brownie._cli.__main__ import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    print(done.stdout[done.stdout.find("Compiling") :] if "Compiling" in done.stdout else "", end="")


def stop(signum: int, _frame: object) -> NoReturn:
    """Leaves by the usual way, so that Brownie takes its chain down."""
    raise SystemExit(128 + signum)


def main() -> None:
    """Runs one Brownie command; exits with its status."""
    arguments = sys.argv[1:]
    rpc = None
    if arguments[:1] == ["--rpc"]:
        rpc, arguments = arguments[1], arguments[2:]
    signal.signal(signal.SIGTERM, stop)
    with tempfile.TemporaryDirectory(prefix="salus-brownie-") as folder:
        home = Path(folder)
        write_networks(home, rpc)
        # Brownie reads HOME when it is imported, so this comes first.
        os.environ["HOME"] = folder
        os.environ["SOLCX_BINARY_PATH"] = str(ROOT / "scripts")
        os.environ["PATH"] = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ["PATH"]])
        compile_first()
        if arguments == ["compile"]:
            return
        sys.argv = ["brownie", *arguments]
        # Brownie warns of its own calls.
        warnings.filterwarnings("ignore", r"rpc\..* should not be called directly", FutureWarning)
        from brownie._cli.__main__ import main as brownie

        brownie()


if __name__ == "__main__":
    main()
