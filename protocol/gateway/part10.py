"""The header of a DICOM file (PS3.10, 7.1): all that is read of an instance before it rests in quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from pydicom.filereader import read_dataset

from protocol.errors import Unclean
from protocol.imaging.instances import in_silence

_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"
START_BYTES = _PREAMBLE_BYTES + len(_MAGIC)
#: A header has a few hundred bytes.
MAX_HEADER_BYTES = 1 << 16
_MAX_UID_CHARACTERS = 64


@dataclass(frozen=True)
class Header:
    """What the file says it is: three UIDs, as they were sent."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str


def is_dicom(beginning: bytes) -> bool:
    """Whether a file that begins like this says that it is DICOM."""
    return beginning[_PREAMBLE_BYTES:START_BYTES] == _MAGIC


def header(content: bytes) -> Header:
    """Reads the header alone. Raises Unclean when there is none."""
    if not is_dicom(content):
        raise Unclean("It is no DICOM file.")
    with in_silence():
        try:
            found = read_dataset(
                BytesIO(content[START_BYTES : START_BYTES + MAX_HEADER_BYTES]),
                is_implicit_VR=False,
                is_little_endian=True,
                stop_when=lambda tag, vr, length: tag >> 16 != 2,  # noqa: ARG005
            )
            uids = [
                str(found.get(name) or "")
                for name in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
            ]
        except Exception as error:  # noqa: BLE001 - a dozen kinds, some with what the file holds in their words
            raise Unclean(f"It has no header that can be read ({type(error).__name__}).") from None
    if not all(uids) or max(map(len, uids)) > _MAX_UID_CHARACTERS:
        raise Unclean("Its header does not say what it is.")
    return Header(*uids)
