"""A hospital as tests need it: a home with a vault, devices with certificates, and what they send."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from protocol.gateway.certificates import own, self_signed
from protocol.gateway.devices import Device, Devices
from protocol.gateway.scp import Address
from protocol.gateway.service import Gateway, devices_of, pseudonyms_of
from protocol.gateway.worker import Cleaning
from protocol.imaging import instances
from protocol.imaging.deidentify import Clean, deidentify
from protocol.imaging.text import Box, Found
from protocol.vault.store import Vault
from tests.protocol.imaging.made import EXAMINED, NAME, PATIENT

KEY = bytes(range(32))
DEVICE, AE_TITLE = "room-3", "US_ROOM3"
EXPLICIT = "1.2.840.10008.1.2.1"
#: Whatever of it stands in a log was a patient's.
SECRETS = (PATIENT, *NAME.split("^"), EXAMINED, NAME.title().split("^")[0])


class NoText:
    """Finds nothing, at once: what these tests are about is not text."""

    def find(self, picture: np.ndarray) -> list[Found]:  # noqa: ARG002
        return []


def vault_in(home: Path) -> Vault:
    """A vault without a password, which would take its time."""
    folder = home / "vault"
    for name in ("pending", "batches"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Vault(folder, KEY)


def cleaning_in(home: Path) -> Cleaning:
    pseudonyms = pseudonyms_of(home, vault_in(home))

    def clean(content: bytes, regions: Sequence[Box]) -> Clean:
        return deidentify(content, pseudonyms, NoText(), regions)

    return clean


def credentials(folder: Path, name: str, **given: Any) -> tuple[Path, Path]:
    """Files with a fresh certificate and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    for path, content in zip(paths, self_signed(name, **given), strict=True):
        path.write_bytes(content)
    return paths


class Hospital:
    """A home, its vault, and one registered device."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.vault = vault_in(home)
        self.devices: Devices = devices_of(home, self.vault)
        self.certificate, self.key = own(home / "gateway", "gateway", ["localhost"])
        self.of_device = credentials(home / "device", DEVICE)
        self.device: Device = self.devices.register(DEVICE, self.of_device[0].read_bytes(), AE_TITLE)

    def gateway(self, *, tls: bool = True, watch: Path | None = None, **given: Any) -> Gateway:
        """A gateway on a free port, not running yet."""
        named = {
            "anchor": given.pop("anchor", None),
            "cleanings": given.pop("cleanings", [cleaning_in(self.home)]),
        }
        certificate, key = (self.certificate, self.key) if tls else (None, None)
        address = Address(port=0, certificate=certificate, key=key, **given)
        return Gateway(self.home, self.vault, address, watch=watch, **named)

    @contextmanager
    def running(self, **given: Any) -> Iterator[Gateway]:
        """A gateway at work."""
        gateway, stop = self.gateway(**given), threading.Event()
        thread = threading.Thread(target=gateway.run, args=(stop,))
        thread.start()
        try:
            yield gateway
        finally:
            stop.set()
            thread.join()

    def tls(self, credentials: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """What a device knows: the gateway's certificate, and its own unless another's are given."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.load_cert_chain(*(credentials or self.of_device))
        return context

    def associate(
        self, gateway: Gateway, *, context: ssl.SSLContext | None = None, plain: bool = False, **given: Any
    ) -> Association:
        """As a device does."""
        ae = AE(given.pop("ae_title", AE_TITLE))
        ae.connection_timeout = ae.acse_timeout = ae.network_timeout = 60
        ae.dimse_timeout = given.pop("patience_seconds", 60)
        ae.add_requested_context(Verification)
        ae.add_requested_context(StorageCommitmentPushModel)
        for kind in sorted(instances.SOP_CLASSES):
            ae.add_requested_context(kind, given.get("syntax", EXPLICIT))
        given.pop("syntax", None)
        called = given.pop("called", "SALUS")
        tls = None if plain else (context or self.tls(), "localhost")
        return ae.associate("127.0.0.1", gateway.port, ae_title=called, tls_args=tls, **given)


def store(association: Association, dataset: Dataset) -> int | None:
    """The status of a C-STORE; None when there was no answer."""
    status = association.send_c_store(dataset)
    return int(status.Status) if status else None


def store_bytes(
    association: Association, content: bytes, uid: str = "1.2.3.4.5", kind: str = "", **given: Any
) -> int | None:
    """Sends bytes that need be no instance at all; the status, None when there was no answer."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = kind or "1.2.840.10008.5.1.4.1.1.6.1"
    request.AffectedSOPInstanceUID = uid
    request.DataSet = BytesIO(content)
    context = next(
        each
        for each in association.accepted_contexts
        if each.abstract_syntax == given.get("context", request.AffectedSOPClassUID)
    )
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        pass
    association.dimse.send_msg(request, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return None if answer is None else int(answer.Status)


def of_file(content: bytes) -> bytes:
    """A DICOM file's data set alone: what goes over the wire."""
    return content[132 + 12 + int.from_bytes(content[140:144], "little") :]
