"""`salus gateway`, as a hospital calls it: a process of its own, from the first line to SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.cli import main
from protocol.vault.store import Vault
from tests.protocol.gateway.hospital import AE_TITLE, DEVICE, SECRETS, Hospital, credentials, store
from tests.protocol.imaging.made import instance, speckle, write_on

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "pw").write_text("secret\n")
    Vault.create(tmp_path / "home", "secret")
    return tmp_path / "home"


def salus(home: Path, *words: object) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *map(str, words)])


def until(holds: Callable[[], object]) -> None:
    while not holds():
        threading.Event().wait(0.02)


class Running:
    """`salus gateway run`, its log in a file."""

    def __init__(self, home: Path, *words: str) -> None:
        self.log = home.parent / "log"
        command = [sys.executable, "-m", "protocol.cli", "--home", str(home), "gateway", "run", "--port", "0"]
        password = ["--vault-password-file", str(home.parent / "pw")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *password, *words, "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=log
            )
        until(lambda: "listens on" in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()
        self.port = int(self.said().split("listens on 127.0.0.1:")[1].split()[0])

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def end(self) -> dict[str, object]:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate()
        assert self.process.returncode == 0, self.said()
        return json.loads(out)


def test_it_listens_takes_in_and_ends_with_0_on_sigterm(home: Path) -> None:
    device = credentials(home.parent / "device", DEVICE)
    register = ["device", "register", DEVICE, "--certificate", device[0], "--ae-title", AE_TITLE]
    assert salus(home, *register, "--vault-password-file", home.parent / "pw").exit_code == 0
    running = Running(home)
    picture = speckle()
    write_on(picture[0], "DUCHEMIN ARMELLE", (60, 100), 20)
    hospital = Hospital.__new__(Hospital)
    hospital.home, hospital.of_device = home, device
    hospital.certificate = home / "gateway" / "certificate.pem"
    association = hospital.associate(running)  # type: ignore[arg-type]
    assert store(association, instance(picture)) == 0x0000
    assert store(association, instance(SequenceOfUltrasoundRegions=[])) == 0x0000

    def status() -> dict[str, object]:
        return json.loads(salus(home, "gateway", "status", "--json").stdout)

    until(lambda: status()["stored"] == 1 and status()["kept_back"] == 1)
    assert status()["running"] is True and status()["received"] == 2
    association.release()
    said = running.end()
    assert (said["stored"], said["kept_back"]) == (1, 1)
    assert not [secret for secret in SECRETS if secret in running.said()]
    assert running.said().count("listens on") == 1 and "Traceback" not in running.said()
    assert "running  no" in salus(home, "gateway", "status").stdout.replace("   ", " ").replace("  ", "  ")
    (kept,) = Vault.open(home, "secret").pending()
    assert kept.device == DEVICE
    # Nobody is left behind.
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(home) not in path.read_text() or path.parent.name == str(os.getpid())
        except OSError:
            continue


def test_plain_tcp_must_be_asked_for_and_warns(home: Path) -> None:
    running = Running(home, "--plain")
    assert "without TLS" in running.said()
    until(lambda: "WARNING Plain TCP" in running.said())
    assert running.end()["tls"] is False


def test_options_that_contradict_each_other_are_wrong_usage(home: Path) -> None:
    for words in (["--certificate", "a.pem"], ["--plain", "--certificate", "a.pem", "--key", "a.key"]):
        result = salus(home, "gateway", "run", *words, "--vault-password-file", home.parent / "pw")
        assert result.exit_code == 2 and "--certificate and --key together" in result.stderr


def test_without_a_vault_or_a_run_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\n")
    result = salus(tmp_path / "empty", "gateway", "run", "--vault-password-file", tmp_path / "pw")
    assert result.exit_code == 1 and "salus vault init" in result.stderr
    result = salus(tmp_path / "empty", "gateway", "status")
    assert result.exit_code == 1 and "salus gateway run" in result.stderr
