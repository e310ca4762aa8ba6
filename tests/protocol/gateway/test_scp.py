"""What a device meets: TLS with its own certificate, an acknowledgement that is kept, bounds, and the truth."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from protocol.errors import GatewayError
from protocol.gateway import scp, wire
from protocol.gateway.scp import Address, Scp
from protocol.gateway.service import Gateway
from protocol.imaging import instances
from protocol.vault import disk
from tests.protocol.gateway.hospital import (
    AE_TITLE,
    DEVICE,
    Hospital,
    credentials,
    of_file,
    store,
    store_bytes,
)
from tests.protocol.imaging.made import PATIENT, file, instance, opened, speckle

US = "1.2.840.10008.5.1.4.1.1.6.1"


@pytest.fixture
def gateway(hospital: Hospital) -> Gateway:
    """One that listens, and cleans nothing: what arrives stays where it is."""
    made = hospital.gateway(max_instance_bytes=400_000)
    made._scp.start()
    yield made
    made._scp.stop()
    made.close()


def contents(gateway: Gateway) -> list[bytes]:
    return [gateway.quarantine.content(id) for id in gateway.quarantine.arrived()]


# -- who -------------------------------------------------------------------------------------------------------------


def test_a_registered_device_is_let_in_and_what_it_sends_rests_as_it_was(
    hospital: Hospital, gateway: Gateway
) -> None:
    association = hospital.associate(gateway)
    assert association.send_c_echo().Status == 0x0000
    dataset = instance()
    assert store(association, dataset) == 0x0000
    (content,) = contents(gateway)
    assert of_file(content) == of_file(file(dataset)), "byte for byte"
    item = gateway.quarantine.item(gateway.quarantine.arrived()[0])
    assert item.device == DEVICE and item.sop_instance == dataset.SOPInstanceUID
    association.release()


def test_a_device_that_is_registered_while_it_runs_is_let_in(hospital: Hospital, gateway: Gateway) -> None:
    fresh = credentials(hospital.home / "device", "fresh")
    assert not hospital.associate(gateway, context=hospital.tls(fresh), ae_title="US_FRESH").is_established
    hospital.devices.register("fresh", fresh[0].read_bytes(), "US_FRESH")
    association = hospital.associate(gateway, context=hospital.tls(fresh), ae_title="US_FRESH")
    assert association.is_established
    association.release()


def test_a_device_that_is_removed_has_no_say_from_then_on(hospital: Hospital, gateway: Gateway) -> None:
    association = hospital.associate(gateway)
    assert store(association, instance()) == 0x0000
    hospital.devices.remove(DEVICE)
    assert store(association, instance()) == 0x0124
    assert association.send_c_echo().Status == 0x0124
    assert len(contents(gateway)) == 1
    association.release()
    assert not hospital.associate(gateway).is_established


def test_no_certificate_and_another_certificate_are_turned_away(
    hospital: Hospital, gateway: Gateway, logged: Callable[[], list[str]]
) -> None:
    none = ssl.create_default_context(cafile=str(hospital.certificate))
    # The same name, and another key.
    forged = hospital.tls(credentials(hospital.home / "forged", DEVICE))
    for context in (none, forged):
        association = hospital.associate(gateway, context=context)
        assert not association.is_established or association.send_c_echo() == Dataset()
    assert contents(gateway) == []
    assert any("CERTIFICATE" in each for each in logged())


def test_what_a_registered_certificate_signed_is_not_that_device(
    hospital: Hospital, gateway: Gateway
) -> None:
    """A certificate stands for itself alone, even one that may sign others."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import NameOID

    def made(
        subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, ca: bool
    ):
        now = datetime.now(UTC)
        name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])  # noqa: E731
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(by, SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    authority, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    hospital.devices.register("authority", made("ca", "ca", authority, authority, True), "US_CA")
    folder = hospital.home / "signed"
    folder.mkdir()
    (folder / "leaf.pem").write_bytes(made("leaf", "ca", leaf, authority, False))
    (folder / "leaf.key").write_bytes(
        leaf.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = hospital.tls((folder / "leaf.pem", folder / "leaf.key"))
    association = hospital.associate(gateway, context=context, ae_title="US_CA")
    assert association.is_rejected and not association.is_established
    # It can be registered by itself, whoever signed it.
    hospital.devices.register("leaf", (folder / "leaf.pem").read_bytes(), "US_LEAF")
    association = hospital.associate(gateway, context=context, ae_title="US_LEAF")
    assert store(association, instance()) == 0x0000
    association.release()


@pytest.mark.parametrize("title", ["US_OTHER", "SALUS", "us_room3"])
def test_another_ae_title_than_the_certificates_is_rejected(
    hospital: Hospital, gateway: Gateway, title: str
) -> None:
    association = hospital.associate(gateway, ae_title=title)
    assert association.is_rejected and not association.is_established


def test_whoever_calls_another_than_us_is_rejected(hospital: Hospital, gateway: Gateway) -> None:
    assert hospital.associate(gateway, called="PACS").is_rejected


def test_plain_tcp_does_not_reach_a_gateway_with_tls(hospital: Hospital, gateway: Gateway) -> None:
    assert not hospital.associate(gateway, plain=True).is_established
    association = hospital.associate(gateway)
    assert store(association, instance()) == 0x0000, "and the others go on"
    association.release()


def test_plain_tcp_that_was_asked_for_knows_devices_by_their_ae_title(hospital: Hospital) -> None:
    with hospital.running(tls=False) as gateway:
        association = hospital.associate(gateway, plain=True)
        assert store(association, instance()) == 0x0000
        association.release()
        assert hospital.associate(gateway, plain=True, ae_title="US_OTHER").is_rejected


def test_devices_that_cannot_be_read_let_nobody_in(hospital: Hospital) -> None:
    with hospital.running(tls=False) as gateway:
        association = hospital.associate(gateway, plain=True)
        (hospital.home / "devices" / f"{DEVICE}.json").write_bytes(b"{")
        assert hospital.associate(gateway, plain=True).is_rejected
        assert store(association, instance()) == 0x0124
        association.release()


# -- acknowledged is kept --------------------------------------------------------------------------------------------


def test_nothing_is_acknowledged_before_it_is_on_the_disk(
    hospital: Hospital, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = disk.sync
    monkeypatch.setattr(disk, "sync", lambda folder: (real(folder), order.append("on the disk")))
    association = hospital.associate(gateway)
    assert store(association, instance()) == 0x0000
    order.append("acknowledged")
    association.release()
    assert order == ["on the disk", "acknowledged"]


def test_a_full_disk_is_out_of_resources_and_the_next_is_kept(
    hospital: Hospital, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    association = hospital.associate(gateway)
    with monkeypatch.context() as patch:
        patch.setattr(
            disk, "put", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        )
        assert store(association, instance()) == 0xA700
    assert contents(gateway) == []
    assert store(association, instance()) == 0x0000
    association.release()


def test_whatever_goes_wrong_is_not_acknowledged(
    hospital: Hospital, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    association = hospital.associate(gateway)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "put", lambda *_: (_ for _ in ()).throw(RuntimeError(PATIENT)))
        assert store(association, instance()) == 0x0110
    assert store(association, instance()) == 0x0000
    association.release()


@pytest.mark.parametrize("content", [b"\x00", b"\xff" * 1000, of_file(file(instance()))[:999]])
def test_bytes_that_are_no_instance_rest_undecoded(
    hospital: Hospital, gateway: Gateway, content: bytes
) -> None:
    association = hospital.associate(gateway)
    assert store_bytes(association, content) == 0x0000
    assert [of_file(each) for each in contents(gateway)] == [content]
    association.release()


def test_a_class_that_is_not_its_contexts_is_told(hospital: Hospital, gateway: Gateway) -> None:
    association = hospital.associate(gateway)
    cine = "1.2.840.10008.5.1.4.1.1.3.1"
    assert store_bytes(association, of_file(file(instance())), kind=cine, context=US) == 0xA900
    association.release()


@pytest.mark.parametrize("kind", sorted(instances.SOP_CLASSES))
def test_ultrasound_classes_are_taken_in_retired_ones_too(
    hospital: Hospital, gateway: Gateway, kind: str
) -> None:
    association = hospital.associate(gateway)
    assert store_bytes(association, of_file(file(instance())), kind=str(kind)) == 0x0000
    association.release()


@pytest.mark.parametrize("syntax", sorted(instances.TRANSFER_SYNTAXES))
def test_transfer_syntaxes_that_can_be_cleaned_are_accepted(
    hospital: Hospital, gateway: Gateway, syntax: str
) -> None:
    association = hospital.associate(gateway, syntax=[syntax])
    assert store_bytes(association, b"pixels") == 0x0000
    (item,) = (gateway.quarantine.item(id) for id in gateway.quarantine.arrived())
    assert item.transfer_syntax == syntax
    association.release()


def test_others_are_refused_when_they_are_proposed(hospital: Hospital, gateway: Gateway) -> None:
    association = hospital.associate(gateway, syntax=[DeflatedExplicitVRLittleEndian])
    accepted = {each.abstract_syntax for each in association.accepted_contexts}
    assert not accepted & {*instances.SOP_CLASSES, CTImageStorage}
    association.release()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEGBaseline8Bit])
def test_the_files_header_says_how_it_came(hospital: Hospital, gateway: Gateway, syntax: str) -> None:
    association = hospital.associate(gateway, syntax=[syntax])
    assert store_bytes(association, b"12345678", uid="1.2.3.4") == 0x0000
    meta = opened(contents(gateway)[0][: -len(b"12345678")]).file_meta
    assert (meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID) == (syntax, "1.2.3.4")
    association.release()


def test_several_associations_at_once_lose_nothing(hospital: Hospital, gateway: Gateway) -> None:
    sent: list[str] = []

    def stream() -> None:
        association = hospital.associate(gateway)
        for _ in range(5):
            dataset = instance()
            assert store(association, dataset) == 0x0000
            sent.append(str(dataset.SOPInstanceUID))
        association.release()

    threads = [threading.Thread(target=stream) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [gateway.quarantine.item(id).sop_instance for id in gateway.quarantine.arrived()]
    assert sorted(kept) == sorted(sent) and len(set(sent)) == 20


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_who_connects_and_says_nothing_holds_nobody_up(hospital: Hospital, gateway: Gateway) -> None:
    silent = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(8)]
    association = hospital.associate(gateway)
    assert store(association, instance()) == 0x0000
    association.release()
    for each in silent:
        each.close()


def test_more_connections_than_allowed_are_closed_and_room_comes_back(hospital: Hospital) -> None:
    made = hospital.gateway()
    made._scp._server._free = threading.BoundedSemaphore(2)
    made._scp.start()
    silent = [socket.create_connection(("127.0.0.1", made.port)) for _ in range(3)]
    assert silent[2].recv(1) == b"", "closed at once"
    for each in silent:
        each.close()
    # The two others are seen to be gone soon.
    while not (association := hospital.associate(made)).is_established:
        pass
    association.release()
    made._scp.stop()
    made.close()


def test_more_associations_than_allowed_are_rejected(hospital: Hospital) -> None:
    with hospital.running(max_associations=2) as gateway:
        first = [hospital.associate(gateway) for _ in range(2)]
        assert all(each.is_established for each in first)
        assert hospital.associate(gateway).is_rejected
        for each in first:
            each.release()


def test_an_instance_that_is_too_large_ends_its_association_alone(
    hospital: Hospital, gateway: Gateway, logged: Callable[[], list[str]]
) -> None:
    association, other = hospital.associate(gateway), hospital.associate(gateway)
    assert store(association, instance(speckle(frames=8))) is None
    assert store(other, instance()) == 0x0000
    assert len(contents(gateway)) == 1
    assert any("more than 400000 bytes" in each for each in logged())
    other.release()


def test_an_association_that_never_ends_is_ended(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.gateway.scp.NETWORK_SECONDS", 0.2)
    with hospital.running() as gateway:
        association = hospital.associate(gateway)
        association.join()
        assert association.is_aborted and not association.is_established


def raw(hospital: Hospital, gateway: Gateway) -> ssl.SSLSocket:
    return hospital.tls().wrap_socket(
        socket.create_connection(("127.0.0.1", gateway.port)), server_hostname="localhost"
    )


def ends(connection: ssl.SSLSocket) -> bool:
    """Whether the other side closes it, whatever it says before."""
    try:
        while connection.recv(4096):
            pass
    except OSError:
        pass
    return True


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff" + bytes(200),
        b"\x04\x00\x7f\xff\xff\xff",
        b"\x01\x00\x00\x00\x00\x04" + bytes(4),
        b"\x09\x00\x00\x00\x00\x00",
    ],
)
def test_what_is_no_dicom_ends_its_connection_alone(
    hospital: Hospital, gateway: Gateway, sent: bytes
) -> None:
    connection = raw(hospital, gateway)
    connection.sendall(sent)
    assert ends(connection)
    association = hospital.associate(gateway)
    assert store(association, instance()) == 0x0000
    association.release()


def test_half_a_message_does_not_wait_for_ever(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "NETWORK_SECONDS", 0.2)
    with hospital.running() as gateway:
        connection = raw(hospital, gateway)
        connection.sendall(b"\x01\x00\x00\x00\x01\x00" + bytes(10))
        assert ends(connection)


def test_a_message_in_many_small_pieces_has_an_end(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(wire, "MESSAGE_SECONDS", -1.0)
    with hospital.running() as gateway:
        association = hospital.associate(gateway)
        assert store(association, instance()) is None
        assert any("took longer" in each for each in logged())
        assert gateway.quarantine.arrived() == []


# -- commitment ------------------------------------------------------------------------------------------------------


class Committing:
    """A device that asks for commitment, and hears the report."""

    def __init__(self, hospital: Hospital, gateway: Gateway) -> None:
        self.reports: list[tuple[int, Dataset]] = []
        self.heard = threading.Event()
        self.association: Association = hospital.associate(
            gateway, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._report)]
        )

    def _report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((event.event_type, event.event_information))
        self.heard.set()
        return 0x0000, None

    def ask(self, *uids: str, kind: str = US, action: int = 1, of: str = "") -> int:
        asked = Dataset()
        asked.TransactionUID = "1.2.3.99"
        asked.ReferencedSOPSequence = []
        for uid in uids:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, uid
            asked.ReferencedSOPSequence.append(item)
        self.heard.clear()
        status, _ = self.association.send_n_action(
            asked, action, StorageCommitmentPushModel, of or StorageCommitmentPushModelInstance
        )
        return int(status.Status)

    def report(self) -> tuple[int, list[str], dict[str, int]]:
        """Event type, what is committed, and what is not with the reason."""
        self.heard.wait()
        kind, said = self.reports[-1]
        assert said.TransactionUID == "1.2.3.99"
        return (
            kind,
            [each.ReferencedSOPInstanceUID for each in said.get("ReferencedSOPSequence", [])],
            {each.ReferencedSOPInstanceUID: each.FailureReason for each in said.get("FailedSOPSequence", [])},
        )


def test_what_is_on_the_disk_is_committed_and_nothing_else(hospital: Hospital, gateway: Gateway) -> None:
    device = Committing(hospital, gateway)
    sent = [instance() for _ in range(4)]
    uids = [str(each.SOPInstanceUID) for each in sent]
    for each in sent:
        assert store(device.association, each) == 0x0000
    arrived, held, clean, rejected = gateway.quarantine.arrived()
    gateway.quarantine.hold(held, "no")
    assert gateway.worker.look(clean, gateway.worker._cleanings[0]) == ""
    gateway.quarantine.hold(rejected, "no")
    gateway.quarantine.reject(rejected)
    assert gateway.quarantine.arrived() == [arrived]
    assert device.ask(*uids, "1.9.9.9") == 0x0000
    assert device.report() == (2, uids[:3], {uids[3]: 0x0112, "1.9.9.9": 0x0112})
    assert device.ask(*uids[:3]) == 0x0000
    assert device.report() == (1, uids[:3], {})
    hospital.vault.flush()
    assert device.ask(uids[2]) == 0x0000
    assert device.report() == (1, [uids[2]], {}), "in a batch too"
    device.association.release()


def test_what_was_withdrawn_is_committed_no_more(hospital: Hospital, gateway: Gateway) -> None:
    device, dataset = Committing(hospital, gateway), instance()
    uid = str(dataset.SOPInstanceUID)
    assert store(device.association, dataset) == 0x0000
    assert gateway.worker.look(gateway.quarantine.arrived()[0], gateway.worker._cleanings[0]) == ""
    hospital.vault.withdraw(hospital.vault.pending()[0].patient)
    assert device.ask(uid) == 0x0000
    assert device.report() == (2, [], {uid: 0x0112})
    device.association.release()


def test_another_class_than_ultrasound_is_not_committed(hospital: Hospital, gateway: Gateway) -> None:
    device = Committing(hospital, gateway)
    assert device.ask("1.2.3", kind=str(CTImageStorage)) == 0x0000
    assert device.report() == (2, [], {"1.2.3": 0x0122})
    device.association.release()


def test_another_class_than_it_was_stored_under_is_not_committed(
    hospital: Hospital, gateway: Gateway
) -> None:
    device, dataset = Committing(hospital, gateway), instance()
    uid, other = str(dataset.SOPInstanceUID), "1.2.840.10008.5.1.4.1.1.3.1"
    assert store(device.association, dataset) == 0x0000
    for _ in range(2):
        assert device.ask(uid, kind=other) == 0x0000
        assert device.report() == (2, [], {uid: 0x0119})
        assert device.ask(uid) == 0x0000
        assert device.report() == (1, [uid], {})
        for id in gateway.quarantine.arrived():
            assert gateway.worker.look(id, gateway.worker._cleanings[0]) == "", "in the vault too"
    device.association.release()


def test_nothing_asked_for_and_too_much_are_refused(
    hospital: Hospital, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Committing(hospital, gateway)
    assert device.ask() == 0x0115
    monkeypatch.setattr(scp, "MAX_REQUEST_BYTES", 1_000)
    assert device.ask(*(f"1.2.3.{number}" for number in range(100))) == 0x0213
    assert device.reports == []
    device.association.release()


def test_other_requests_than_that_for_commitment_are_refused(hospital: Hospital, gateway: Gateway) -> None:
    device = Committing(hospital, gateway)
    assert device.ask("1.2.3", action=2) == 0x0123
    assert device.ask("1.2.3", of="1.2.3") == 0x0112
    empty = Dataset()
    empty.TransactionUID = "1.2.3.99"
    status, _ = device.association.send_n_action(
        empty, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    assert status.Status == 0x0114
    assert device.reports == []
    assert store(device.association, instance()) == 0x0000
    device.association.release()


# -- starting --------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_and_files_that_are_no_certificate_are_named(
    hospital: Hospital, gateway: Gateway, tmp_path: Path
) -> None:
    def listen(address: Address) -> None:
        Scp(address, hospital.devices, lambda *_: None, lambda _: {})

    with pytest.raises(GatewayError, match=f"127.0.0.1:{gateway.port}"):
        listen(Address(port=gateway.port, certificate=hospital.certificate, key=hospital.key))
    with pytest.raises(GatewayError, match="No such file"):
        listen(Address(port=0, certificate=tmp_path / "no.pem", key=hospital.key))
    (tmp_path / "no.pem").write_text("no")
    with pytest.raises(GatewayError, match="Nothing can listen"):
        listen(Address(port=0, certificate=tmp_path / "no.pem", key=hospital.key))
    with pytest.raises(GatewayError, match="Nothing can listen"):
        listen(Address(port=0, ae_title="TOO_LONG_A_TITLE_"))


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert Address().host == "127.0.0.1" and AE_TITLE
