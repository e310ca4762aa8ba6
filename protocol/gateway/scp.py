"""What devices talk to: DICOM Verification, Storage and Storage Commitment (PS3.4, Annexes A, B, J) as provider.

An instance is acknowledged once it is on the disk, undecoded, and only what is on the disk is committed. A device is
known by its TLS certificate; without TLS by its AE title alone, which anybody can claim.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.events import Event
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
    register_uid,
    uid_to_service_class,
)

from protocol.errors import GatewayError, SalusError
from protocol.gateway.devices import Device, Devices
from protocol.gateway.wire import NETWORK_SECONDS, PDU_BYTES, Messages, Server
from protocol.imaging import instances

log = logging.getLogger(__name__)

PORT = 11112
MAX_ASSOCIATIONS = 16
# Connections whose device is not known yet come on top.
_MAX_CONNECTIONS = 4 * MAX_ASSOCIATIONS
#: As it was sent: it is in memory while it comes.
MAX_INSTANCE_BYTES = 1 << 29
ACSE_SECONDS = 30.0
#: Of a request for commitment: some tens of thousands of instances.
MAX_REQUEST_BYTES = 1 << 22
#: How soon it sees that it is to stop.
POLL_SECONDS = 0.1

SUCCESS = 0x0000
# PS3.4, B.2.3, and PS3.7, Annex C.
OUT_OF_RESOURCES = 0xA700
WRONG_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000
NOT_AUTHORISED = 0x0124
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_ACTION = 0x0123
NO_SUCH_ARGUMENT = 0x0114
INVALID_ARGUMENT = 0x0115
CLASS_CONFLICT = 0x0119
RESOURCE_LIMITATION = 0x0213
NO_SUCH_CLASS = 0x0122
# PS3.4, J.3: request storage commitment; all are committed; some are not.
_REQUEST, _COMMITTED, _FAILURES = 1, 1, 2
_REJECTED_FOR_GOOD, _BY_USER, _CALLING_UNKNOWN = 0x01, 0x01, 0x03

_SERVICES = {
    evt.EVT_REQUESTED: "_requested",
    evt.EVT_C_ECHO: "_echo",
    evt.EVT_C_STORE: "_store",
    evt.EVT_N_ACTION: "_commit",
}


@dataclass(frozen=True)
class Address:
    """Where a gateway listens. ``certificate`` and ``key`` are its own, PEM files; without them it is plain TCP."""

    host: str = "127.0.0.1"
    port: int = PORT
    ae_title: str = "SALUS"
    certificate: Path | None = None
    key: Path | None = None
    max_associations: int = MAX_ASSOCIATIONS
    max_instance_bytes: int = MAX_INSTANCE_BYTES

    @property
    def is_plain(self) -> bool:
        return self.certificate is None


class Scp:
    """Listens for devices. ``arrive(content, device, received_at)`` returns when an instance is on the disk;
    ``committed(uids)`` says which SOP instances are, and under which SOP classes they came:
    none where that is not known.

    Raises GatewayError when it cannot listen.
    """

    def __init__(
        self,
        address: Address,
        devices: Devices,
        arrive: Callable[[bytes, str, int], Any],
        committed: Callable[[Iterable[str]], Mapping[str, Collection[str]]],
    ) -> None:
        self.received = 0
        self._address, self._devices, self._arrive, self._committed = address, devices, arrive, committed
        self._counting = threading.Lock()
        try:
            if not address.is_plain:
                self._tls()
            self._server = self._made()
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
            raise GatewayError(
                f"Nothing can listen on {address.host}:{address.port}: {words}.",
                "Is another gateway running? Check the address, and the files of certificate and key.",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="salus-scp", daemon=True
        )

    @property
    def port(self) -> int:
        """The one it listens on: chosen by the system when 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends all associations. What was acknowledged is on the disk."""
        self._server.shutdown()

    def _made(self) -> Server:
        address = self._address
        ae = AE(address.ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = address.max_associations
        ae.maximum_pdu_size = PDU_BYTES
        ae.network_timeout = ae.dimse_timeout = NETWORK_SECONDS
        ae.acse_timeout = ACSE_SECONDS
        for service in (Verification, StorageCommitmentPushModel):
            ae.add_supported_context(service, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
        for kind in sorted(instances.SOP_CLASSES):
            if uid_to_service_class(kind) is not StorageServiceClass:
                # Retired, which pynetdicom does not know; devices of that age are still at work.
                register_uid(kind, f"Retired{kind.replace('.', '_')}", StorageServiceClass)
            ae.add_supported_context(kind, sorted(instances.TRANSFER_SYNTAXES))
        return ae.make_server(
            (address.host, address.port),
            evt_handlers=[(event, getattr(self, name)) for event, name in _SERVICES.items()],
            server_class=Server,
            context=None if address.is_plain else self._tls,
            max_connections=_MAX_CONNECTIONS,
            max_message_bytes=address.max_instance_bytes,
        )

    def _tls(self) -> ssl.SSLContext:
        """TLS 1.2 or 1.3 with a certificate that a device registered (BCP 195). Made anew for each connection, so that
        devices come and go while the gateway runs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.load_cert_chain(self._address.certificate, self._address.key)
        context.verify_mode = ssl.CERT_REQUIRED
        # Registered certificates are trusted by themselves, whoever signed them.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if trusted := "".join(device.certificate for device in self._devices.list()):
            context.load_verify_locations(cadata=trusted)
        return context

    # -- who it is ---------------------------------------------------------------------------------------------------

    def _device(self, association: Association, ae_title: str) -> Device | None:
        """Looked up at each request: who is removed has no say from then on."""
        if self._address.is_plain:
            return self._devices.by_ae_title(ae_title)
        der = association.dul.socket.socket.getpeercert(binary_form=True)
        device = self._devices.by_fingerprint(hashlib.sha256(der).hexdigest())
        return device if device and device.ae_title == ae_title else None

    def _requested(self, event: Event) -> None:
        """Turns away who is no device. pynetdicom goes on after an error in here: so it must not raise."""
        association = event.assoc
        try:
            device = self._device(association, str(association.requestor.primitive.calling_ae_title).strip())
        except Exception as error:  # noqa: BLE001
            log.error("Nobody can be let in: %s", type(error).__name__)
            device = None
        if device is None:
            log.warning("An association was refused: its AE title is not that of a registered device.")
            association.acse.send_reject(_REJECTED_FOR_GOOD, _BY_USER, _CALLING_UNKNOWN)
            association.kill()

    def _known(self, event: Event) -> Device | None:
        try:
            return self._device(event.assoc, str(event.assoc.requestor.ae_title).strip())
        except Exception:  # noqa: BLE001 - the connection is gone, or the devices cannot be read
            return None

    # -- what it asks ------------------------------------------------------------------------------------------------

    def _echo(self, event: Event) -> int:
        return SUCCESS if self._known(event) else NOT_AUTHORISED

    def _store(self, event: Event) -> int:
        """Into quarantine as it came, with a file header from the request."""
        if (device := self._known(event)) is None:
            return NOT_AUTHORISED
        if event.request.AffectedSOPClassUID != event.context.abstract_syntax:
            return WRONG_SOP_CLASS
        if not event.request.DataSet or not event.request.AffectedSOPInstanceUID:
            return CANNOT_UNDERSTAND
        try:
            self._arrive(event.encoded_dataset(), device.name, int(time.time()))
        except (OSError, MemoryError) as error:
            log.error("An instance cannot be kept: %s", getattr(error, "strerror", None) or "no memory")
            return OUT_OF_RESOURCES
        except SalusError as error:
            log.error("An instance cannot be kept: %s", error.message)
            return CANNOT_UNDERSTAND
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not acknowledged
            log.error("An instance cannot be kept: %s", type(error).__name__)
            return PROCESSING_FAILURE
        with self._counting:
            self.received += 1
        return SUCCESS

    def _commit(self, event: Event) -> tuple[int, None]:
        """Answers at once; the report follows on the same association (PS3.4, J.3.3)."""
        if self._known(event) is None:
            return NOT_AUTHORISED, None
        if event.request.RequestedSOPInstanceUID != StorageCommitmentPushModelInstance:
            return NO_SUCH_INSTANCE, None
        if event.action_type != _REQUEST:
            return NO_SUCH_ACTION, None
        asked = event.request.ActionInformation
        if asked is not None and asked.getbuffer().nbytes > MAX_REQUEST_BYTES:
            return RESOURCE_LIMITATION, None
        try:
            with instances.in_silence():
                asked = event.action_information
                transaction = str(asked.TransactionUID)
                references = [
                    (str(each.ReferencedSOPClassUID), str(each.ReferencedSOPInstanceUID))
                    for each in asked.ReferencedSOPSequence
                ]
        except Exception:  # noqa: BLE001 - it may hold anything
            return NO_SUCH_ARGUMENT, None
        if not references:
            return INVALID_ARGUMENT, None
        try:
            here = self._committed({uid for _, uid in references})
            report = _report(transaction, references, here, event.context.transfer_syntax)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is committed
            log.error("Storage cannot be committed: %s", type(error).__name__)
            return PROCESSING_FAILURE, None
        messages = event.assoc.dimse
        if isinstance(messages, Messages):
            messages.follow(report, event.context.context_id)
        return SUCCESS, None


def _report(
    transaction: str, references: list[tuple[str, str]], here: Mapping[str, Collection[str]], syntax: str
) -> N_EVENT_REPORT:
    """Which of the instances are kept, and why others are not."""
    kept, failed = [], []
    for kind, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, uid
        if kind not in instances.SOP_CLASSES:
            item.FailureReason = NO_SUCH_CLASS
        elif uid not in here:
            item.FailureReason = NO_SUCH_INSTANCE
        elif here[uid] and kind not in here[uid]:
            item.FailureReason = CLASS_CONFLICT
        (failed if "FailureReason" in item else kept).append(item)
    information = Dataset()
    information.TransactionUID = transaction
    if kept:
        information.ReferencedSOPSequence = kept
    if failed:
        information.FailedSOPSequence = failed
    report = N_EVENT_REPORT()
    report.MessageID = 1
    report.AffectedSOPClassUID = StorageCommitmentPushModel
    report.AffectedSOPInstanceUID = StorageCommitmentPushModelInstance
    report.EventTypeID = _FAILURES if failed else _COMMITTED
    is_implicit = syntax == ImplicitVRLittleEndian
    report.EventInformation = BytesIO(encode(information, is_implicit, True))
    return report
