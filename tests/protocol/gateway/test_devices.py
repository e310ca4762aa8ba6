"""Devices are known by certificates; their signing keys rest sealed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import GatewayError, InvalidInput, VaultError
from protocol.gateway.certificates import self_signed
from protocol.gateway.devices import WATCHED_FOLDER, Devices
from protocol.vault.sealed import Sealer

SEALER = Sealer(bytes(32))


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    return Devices(tmp_path / "devices", SEALER)


def test_a_registered_device_is_found_by_its_certificate_and_by_its_ae_title(devices: Devices) -> None:
    one = devices.register("room-1", self_signed("one")[0], "US_1")
    two = devices.register("room-2", self_signed("two")[0], "US 2")
    assert [each.name for each in devices.list()] == ["room-1", "room-2"]
    assert devices.by_fingerprint(one.fingerprint) == one
    assert devices.by_ae_title("US 2") == two
    assert devices.by_fingerprint("00" * 32) is None and devices.by_ae_title("US") is None
    assert devices.by_fingerprint("") is None and devices.by_ae_title("") is None


def test_what_another_process_registers_holds_at_once(devices: Devices, tmp_path: Path) -> None:
    assert devices.list() == []
    Devices(tmp_path / "devices", SEALER).register("room-1", self_signed("one")[0], "US_1")
    assert [each.name for each in devices.list()] == ["room-1"]


def test_a_signature_is_good_for_its_device_and_message_alone(devices: Devices) -> None:
    devices.register("room-1", self_signed("one")[0], "US_1")
    devices.register("room-2", self_signed("two")[0], "US_2")
    signature = devices.sign("room-1", b"batch 1")
    assert len(signature) == 64
    assert devices.verify("room-1", b"batch 1", signature)
    assert not devices.verify("room-1", b"batch 2", signature)
    assert not devices.verify("room-2", b"batch 1", signature)
    assert not devices.verify("room-1", b"batch 1", signature[:-1])


def test_a_removed_device_sends_no_more_and_what_it_sent_is_still_signed(devices: Devices) -> None:
    device = devices.register("room-1", self_signed("one")[0], "US_1")
    signature = devices.sign("room-1", b"batch 1")
    assert devices.remove("room-1").removed_at >= device.registered_at
    assert devices.list() == [] and devices.by_fingerprint(device.fingerprint) is None
    assert devices.by_ae_title("US_1") is None
    assert devices.verify("room-1", b"batch 1", signature)
    assert devices.verify("room-1", b"batch 2", devices.sign("room-1", b"batch 2"))
    with pytest.raises(InvalidInput, match="was removed"):
        devices.register("room-1", self_signed("again")[0], "US_1")
    with pytest.raises(InvalidInput, match="removed before"):
        devices.remove("room-1")
    devices.register("room-9", self_signed("again")[0], "US_1")


def test_two_devices_share_neither_certificate_nor_ae_title_nor_name(devices: Devices) -> None:
    certificate = self_signed("one")[0]
    devices.register("room-1", certificate, "US_1")
    with pytest.raises(InvalidInput, match="has this certificate"):
        devices.register("room-2", certificate, "US_2")
    with pytest.raises(InvalidInput, match="has the AE title"):
        devices.register("room-2", self_signed("two")[0], "US_1")
    with pytest.raises(InvalidInput, match="registered already"):
        devices.register("room-1", self_signed("two")[0], "US_2")


@pytest.mark.parametrize("name", ["", "Room", "room/1", "../room", "r" * 33, "-room", "room\n"])
def test_a_name_is_plain(devices: Devices, name: str) -> None:
    with pytest.raises(InvalidInput, match="not a device's name"):
        devices.register(name, self_signed("one")[0], "US_1")


@pytest.mark.parametrize("title", ["", " US", "US ", "U" * 17, "U\\S", "Ü", "US\n", "US\n1"])
def test_an_ae_title_is_one_of_the_standard(devices: Devices, title: str) -> None:
    with pytest.raises(InvalidInput, match="not an AE title"):
        devices.register("room-1", self_signed("one")[0], title)


def test_a_certificate_is_one_and_good_today(devices: Devices) -> None:
    one, key = self_signed("one")
    for pem, reason in [
        (b"", "no certificate"),
        (key, "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
        (one + self_signed("two")[0], "2 certificates"),
        (self_signed("old", days=0)[0], "expired"),
    ]:
        with pytest.raises(InvalidInput, match=reason):
            devices.register("room-1", pem, "US_1")
    assert devices.list() == []
    assert devices.register("room-1", one + key, "US_1").certificate == one.decode()


def test_the_signing_key_is_sealed_and_belongs_to_its_device(devices: Devices, tmp_path: Path) -> None:
    devices.register("room-1", self_signed("one")[0], "US_1")
    devices.register("room-2", self_signed("two")[0], "US_2")
    paths = [tmp_path / "devices" / f"room-{number}.json" for number in (1, 2)]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    one, two = (json.loads(path.read_text()) for path in paths)
    one["signing_key"] = two["signing_key"]
    paths[0].write_text(json.dumps(one, sort_keys=True, separators=(",", ":")))
    with pytest.raises(VaultError):
        devices.sign("room-1", b"batch")
    with pytest.raises(VaultError):
        Devices(tmp_path / "devices", Sealer(bytes([1]) * 32)).sign("room-2", b"batch")
    with pytest.raises(GatewayError, match="vault"):
        Devices(tmp_path / "devices").sign("room-2", b"batch")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"name":"room-1"}', b"\xff", "certificate"])
def test_a_damaged_file_is_named_and_shuts_out_no_other_device(
    devices: Devices, tmp_path: Path, logged: Callable[[], list[str]], content: bytes | str
) -> None:
    devices.register("room-1", self_signed("one")[0], "US_1")
    other = devices.register("room-2", self_signed("two")[0], "US_2")
    path = tmp_path / "devices" / "room-1.json"
    if isinstance(content, str):
        content = json.dumps(
            {**json.loads(path.read_bytes()), content: "none"}, sort_keys=True, separators=(",", ":")
        ).encode()
    path.write_bytes(content)
    for _ in range(3):
        assert devices.list() == [other] and devices.by_fingerprint(other.fingerprint) == other
    assert [each for each in logged() if "room-1.json is not a device" in each] == logged()[-1:]
    for command in (devices.get, devices.remove, lambda name: devices.sign(name, b"batch")):
        with pytest.raises(GatewayError, match=r"room-1\.json is not a device"):
            command("room-1")


def test_the_watched_folder_signs_like_a_device_and_is_no_device(devices: Devices) -> None:
    assert devices.watched_folder() == devices.watched_folder()
    assert devices.verify(WATCHED_FOLDER, b"batch", devices.sign(WATCHED_FOLDER, b"batch"))
    assert devices.by_ae_title("") is None and devices.by_fingerprint("") is None
    with pytest.raises(InvalidInput, match="stands for the folder"):
        devices.register(WATCHED_FOLDER, self_signed("one")[0], "US_1")
