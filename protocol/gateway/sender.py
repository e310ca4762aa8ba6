"""A device's side of the wire: sends DICOM files over TLS, as the demonstration and the measurements need it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context
from pynetdicom.presentation import PresentationContext

from protocol.errors import GatewayError

#: For an answer. pynetdicom's client loses one now and then: its reactor may take it first.
PATIENCE_SECONDS = 20.0
ATTEMPTS = 3
#: PS3.8: at most 128 presentation contexts an association.
MAX_CONTEXTS = 128


@dataclass(frozen=True)
class Sender:
    """A device with its certificate and key, PEM files, and the gateway's certificate, which it trusts."""

    host: str
    port: int
    calling: str
    certificate: Path
    key: Path
    trusted: Path
    called: str = "SALUS"

    def send(self, contents: Iterable[bytes]) -> Iterator[int]:
        """Sends DICOM files as they are encoded; the status of each: 0 once the gateway has it on its disk. What has no
        answer is sent again in another association, as devices do.

        Raises GatewayError when the gateway takes no association, or answers nothing time after time.
        """
        files = [pydicom.dcmread(BytesIO(content)) for content in contents]
        answered, failures = 0, 0
        while answered < len(files):
            try:
                for status in self._send(files[answered:]):
                    answered, failures = answered + 1, 0
                    yield status
            except GatewayError:
                failures += 1
                if failures == ATTEMPTS:
                    raise

    def _send(self, files: Sequence[Dataset]) -> Iterator[int]:
        """In one association."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.trusted))
        context.load_cert_chain(self.certificate, self.key)
        entity = AE(ae_title=self.calling)
        entity.dimse_timeout = PATIENCE_SECONDS
        association = entity.associate(
            self.host,
            self.port,
            contexts=_contexts(files),
            ae_title=self.called,
            tls_args=(context, self.host),
        )
        if not association.is_established:
            raise GatewayError(
                f"The gateway at {self.host}:{self.port} takes no association from {self.calling}.",
                "Is the device's certificate registered (`salus device list`), and does the gateway run?",
            )
        try:
            for file in files:
                yield self._status(association.send_c_store(file))
        finally:
            association.release()

    def _status(self, answer: Dataset) -> int:
        if "Status" not in answer:
            raise GatewayError(f"The gateway at {self.host}:{self.port} ended the association.")
        return int(answer.Status)


def _contexts(files: Iterable[Dataset]) -> list[PresentationContext]:
    """One for each pair of SOP class and transfer syntax, so that nothing has to be encoded anew."""
    pairs = dict.fromkeys((str(each.SOPClassUID), str(each.file_meta.TransferSyntaxUID)) for each in files)
    return [build_context(*pair) for pair in pairs][:MAX_CONTEXTS]
