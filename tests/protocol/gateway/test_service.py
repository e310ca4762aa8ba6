"""The whole gateway: from the device into the vault, killed at any point, stopped in good order."""

from __future__ import annotations

import json
import logging
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import AlreadyRunning, ChainUnreachable, GatewayError
from protocol.gateway import service, watch
from protocol.gateway.service import pseudonyms_of, quarantine_of
from tests.protocol.gateway.hospital import DEVICE, Hospital, store, vault_in
from tests.protocol.imaging.made import PATIENT, file, instance

ROOT = Path(__file__).parents[3]


def until(holds: Callable[[], object]) -> None:
    while not holds():
        threading.Event().wait(0.01)


def test_what_a_device_sends_ends_in_the_vault_or_is_kept_back(hospital: Hospital) -> None:
    clean, unclean = instance(), instance(SequenceOfUltrasoundRegions=[])
    with hospital.running() as gateway:
        association = hospital.associate(gateway)
        assert [store(association, each) for each in (clean, unclean, clean)] == [0x0000] * 3
        until(lambda: not gateway.quarantine.arrived())
        association.release()
    uids = [each.uid for each in hospital.vault.pending()]
    assert uids == [pseudonyms_of(hospital.home, hospital.vault).uid(clean.SOPInstanceUID)]
    (held,) = quarantine_of(hospital.home, hospital.vault).held()
    assert held.sop_instance == unclean.SOPInstanceUID and "region" in held.reason
    said = json.loads((hospital.home / "gateway" / "status.json").read_text())
    assert (said["doing"], said["received"], said["stored"], said["kept_back"]) == ("stopped", 3, 1, 1)


def test_devices_sign_for_batches_of_what_they_sent(hospital: Hospital) -> None:
    with hospital.running() as gateway:
        association = hospital.associate(gateway)
        assert store(association, instance()) == 0x0000
        association.release()
        until(lambda: hospital.vault.pending())
    batch = hospital.vault.flush(hospital.devices.sign)
    assert batch is not None
    signed = hospital.vault.signatures(batch)[DEVICE]
    message = signed.message if isinstance(signed.message, bytes) else signed.message.encode()
    assert hospital.devices.verify(DEVICE, message, signed.signature)


def test_a_watched_folder_is_emptied_into_the_vault(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(watch, "SETTLED_SECONDS", 0.0)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "one.dcm").write_bytes(file(instance()))
    with hospital.running(watch=tmp_path / "exports"):
        until(lambda: hospital.vault.pending())
    assert list((tmp_path / "exports").iterdir()) == []
    assert [each.device for each in hospital.vault.pending()] == ["watched-folder"]
    assert hospital.vault.flush(hospital.devices.sign) == 1
    with pytest.raises(GatewayError, match="no folder"):
        hospital.gateway(watch=tmp_path / "nowhere")


def test_anchoring_goes_on_after_an_error_that_is_said_once(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(service, "ANCHOR_SECONDS", 0.01)
    calls: list[int] = []

    def anchor() -> None:
        calls.append(1)
        if len(calls) < 4:
            raise ChainUnreachable("No chain node answers.")
        if len(calls) < 7:
            raise RuntimeError(PATIENT)

    with hospital.running(anchor=anchor) as gateway:
        until(lambda: len(calls) > 9)
        association = hospital.associate(gateway)
        assert store(association, instance()) == 0x0000
        association.release()
    assert [each for each in logged() if "anchored" in each] == [
        "Batches wait to be anchored: No chain node answers.",
        "Batches wait to be anchored: RuntimeError",
    ]


def test_devices_do_not_wait_for_what_is_heavy(hospital: Hospital) -> None:
    """Neither for de-identification nor for the chain."""
    free = threading.Event()

    def waits(*_: object) -> None:
        free.wait()
        raise RuntimeError

    with hospital.running(anchor=waits, cleanings=[waits]) as gateway:
        association = hospital.associate(gateway)
        assert [store(association, instance()) for _ in range(3)] == [0x0000] * 3
        association.release()
        assert len(gateway.quarantine.arrived()) == 3
        free.set()


def test_a_home_has_one_gateway(hospital: Hospital) -> None:
    with hospital.running(), pytest.raises(AlreadyRunning):
        hospital.gateway()
    again = hospital.gateway()
    again.close()


def test_a_gateway_that_cannot_listen_leaves_its_home_free(hospital: Hospital) -> None:
    with pytest.raises(GatewayError):
        hospital.gateway(ae_title="TOO_LONG_A_TITLE_")
    hospital.gateway().close()


def test_plain_tcp_warns_at_the_start(hospital: Hospital, caplog: pytest.LogCaptureFixture) -> None:
    with hospital.running(tls=False):
        until(lambda: "Plain TCP" in caplog.text)
    assert any(
        each.levelno == logging.WARNING and "proves nothing" in each.getMessage() for each in caplog.records
    )


# -- processes that are killed ---------------------------------------------------------------------------------------


class Process:
    """A gateway of its own, and how to reach it."""

    def __init__(self, home: Path) -> None:
        self._status = home / "gateway" / "status.json"
        self._status.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.protocol.gateway.serving", str(home)], cwd=ROOT
        )
        until(lambda: self._status.exists() or self._process.poll() is not None)
        assert self._process.poll() is None
        self.port = json.loads(self._status.read_text())["port"]

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self._process.wait()


def test_killed_during_a_stream_every_acknowledged_instance_is_there_once(hospital: Hospital) -> None:
    draw, kills = random.Random(7), 5
    todo = [instance() for _ in range(60)]
    acknowledged: list[str] = []
    process = Process(hospital.home)
    while todo:
        # A device does not know that the other end is gone; what had no answer is sent again.
        association = hospital.associate(process, patience_seconds=2 if kills else 60)  # type: ignore[arg-type]
        lives = draw.randrange(2, 8) if kills else len(todo)
        killer = threading.Timer(draw.random() / 50, process.end, [signal.SIGKILL])
        for count, dataset in enumerate(list(todo)):
            if count == lives:
                killer.start()
            if store_or_nothing(association, dataset) == 0x0000:
                acknowledged.append(str(dataset.SOPInstanceUID))
                todo.remove(dataset)
            elif count >= lives:
                break
        if kills:
            killer.join()
            association.abort()
            process, kills = Process(hospital.home), kills - 1
    vault = vault_in(hospital.home)
    quarantine = quarantine_of(hospital.home, vault)
    until(lambda: not quarantine.arrived())
    assert process.end(signal.SIGTERM) == 0
    pseudonyms = pseudonyms_of(hospital.home, hospital.vault)
    kept = [each.uid for each in vault.pending()]
    assert sorted(kept) == sorted(pseudonyms.uid(uid) for uid in acknowledged)
    assert len(acknowledged) == 60 and kills == 0 and quarantine.held() == []
    assert vault.flush() is not None and vault.verify() == 60


def store_or_nothing(association: object, dataset: object) -> int | None:
    """None when the gateway went away meanwhile."""
    try:
        return store(association, dataset)  # type: ignore[arg-type]
    except (RuntimeError, ValueError, OSError):
        return None
