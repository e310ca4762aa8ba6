"""The development network starts, comes back as it was from any stop, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.chain.deployment import Deployment
from protocol.content.ipfs import Ipfs
from protocol.devnet import Devnet
from protocol.devnet import daemon as daemons
from protocol.errors import DevnetError

SOMEONE = "0x" + "5a" * 20
DAYS_30 = 30 * 86_400


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A network that a process of its own started, and which has outlived it."""
    folder = tmp_path_factory.mktemp("network")
    starter = "import sys, pathlib, protocol.devnet as d; d.Devnet(pathlib.Path(sys.argv[1])).up(print)"
    try:
        subprocess.run([sys.executable, "-c", starter, str(folder)], check=True, timeout=300)
        yield folder
    finally:
        Devnet(folder).reset()


@pytest.fixture
def network(home: Path) -> Devnet:
    """The network, running."""
    found = Devnet(home)
    found.up()
    return found


def processes(home: Path) -> list[int]:
    """Every process of this user whose command line or environment names the folder, but not this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in text:
            found.append(int(entry.name))
    return found


def mined_at(network: Devnet) -> int:
    """Timestamp of a block mined now."""
    network.chain.rpc.request("evm_mine")
    return network.chain.timestamp()


def test_it_outlives_its_starter_and_answers(home: Path) -> None:
    network = Devnet(home)
    status = network.status()
    assert status.running and status.deployed
    Deployment.load(network.deployment_file).check(network.chain.rpc)
    with Ipfs(status.ipfs_api) as ipfs:
        assert ipfs.check()


def test_it_listens_on_loopback_only(network: Devnet) -> None:
    ports = json.loads((network.home / "ports.json").read_text()).values()
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {
        row[1].split(":")[0] for row in listening if row[3] == "0A" and int(row[1].split(":")[1], 16) in ports
    }
    assert addresses == {"0100007F"}


def test_its_secrets_are_its_owners_alone(network: Devnet) -> None:
    assert network.home.stat().st_mode & 0o077 == 0
    assert network.password_file.stat().st_mode & 0o077 == 0
    assert all(file.path.stat().st_mode & 0o077 == 0 for file in network.accounts.keystore.list())
    environment = Path(f"/proc/{network.chain.pid()}/environ").read_text()
    assert network.accounts.password not in environment


def test_up_again_changes_nothing(network: Devnet) -> None:
    before = network.status()
    assert network.up() == before


def test_a_restart_keeps_chain_files_and_ports(network: Devnet) -> None:
    network.fund(SOMEONE, 7)
    balance = network.chain.rpc.request("eth_getBalance", SOMEONE, "latest")
    with Ipfs(network.ipfs.api) as ipfs:
        digest = ipfs.add(b"kept over a restart")
    before = network.status()

    assert network.down() is True
    assert processes(network.home) == []
    assert network.down() is False

    after = Devnet(network.home).up()
    assert (after.rpc_url, after.ipfs_api, after.block) == (before.rpc_url, before.ipfs_api, before.block)
    assert network.chain.rpc.request("eth_getBalance", SOMEONE, "latest") == balance
    with Ipfs(network.ipfs.api) as ipfs:
        assert ipfs.fetch(digest, 100) == b"kept over a restart"
        assert ipfs.is_pinned(digest)


@pytest.mark.parametrize("name", ["chain", "ipfs"])
def test_a_killed_daemon_comes_back(network: Devnet, name: str) -> None:
    network.fund(SOMEONE, 1)
    balance = network.chain.rpc.request("eth_getBalance", SOMEONE, "latest")
    with Ipfs(network.ipfs.api) as ipfs:
        digest = ipfs.add(f"kept over a kill of {name}".encode())
    victim = getattr(network, name)
    pid = victim.pid()
    os.kill(pid, signal.SIGKILL)
    while victim.pid() is not None:
        time.sleep(0.01)
    assert not network.status().running

    assert network.up().running
    assert victim.pid() != pid
    assert network.chain.rpc.request("eth_getBalance", SOMEONE, "latest") == balance
    with Ipfs(network.ipfs.api) as ipfs:
        assert ipfs.fetch(digest, 100) == f"kept over a kill of {name}".encode()


def test_its_clock_never_falls_back(network: Devnet) -> None:
    before = mined_at(network)
    ahead = network.advance_time(DAYS_30)
    assert ahead >= before + DAYS_30
    network.down()
    network.up()
    assert mined_at(network) > ahead


def test_a_taken_port_is_left_to_its_holder(network: Devnet) -> None:
    network.down()
    port = network.chain.port
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        status = network.up()
    assert status.running
    assert network.chain.port != port
    assert json.loads(network.network_file.read_text())["rpc_url"] == network.chain.url == status.rpc_url


def test_contracts_of_another_chain_are_refused(network: Devnet) -> None:
    right = network.deployment_file.read_text()
    other = json.loads(right) | {"genesis_hash": "0x" + "00" * 32}
    network.deployment_file.write_text(json.dumps(other))
    try:
        with pytest.raises(DevnetError, match="do not belong together") as caught:
            network.up()
        assert "salus devnet reset" in caught.value.hint
    finally:
        network.deployment_file.write_text(right)


def test_the_timelock_holds_every_right(network: Devnet) -> None:
    deployment = Deployment.load(network.deployment_file)
    timelock = deployment.address("TimelockController").lower().removeprefix("0x")
    for name in ("HospitalRegistry", "ConsentToken", "ModelRegistry", "RewardPool"):
        call = {"to": deployment.address(name), "data": "0x8da5cb5b"}  # owner()
        assert network.chain.rpc.request("eth_call", call, "latest").endswith(timelock)


def test_a_missing_tool_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "ROOT", tmp_path)
    network = Devnet(tmp_path / "net")
    with pytest.raises(DevnetError, match="ganache is not installed") as caught:
        network.up()
    assert "make setup" in caught.value.hint


def test_reset_leaves_neither_process_nor_state(tmp_path: Path) -> None:
    network = Devnet(tmp_path)
    network.chain.port, network.ipfs.api_port = daemons.free_port(), daemons.free_port()
    network.chain.start()
    network.chain.wait_ready(60)
    assert network.chain.pid() is not None
    (tmp_path / "not-ours").write_text("kept")
    network.reset()
    assert processes(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) in ([".lock", "not-ours"], ["not-ours"])
