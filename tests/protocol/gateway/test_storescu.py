"""dcmtk's client, which shares no code with ours, sends real ultrasound over TLS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from protocol.errors import Unclean
from protocol.gateway.service import Gateway, pseudonyms_of
from protocol.imaging.deidentify import deidentify
from tests.protocol.gateway.hospital import AE_TITLE, Hospital, NoText
from tests.protocol.imaging.test_public import BURNED, content_of

#: How storescu is told which transfer syntax to propose.
PROPOSE = {
    ImplicitVRLittleEndian: "-xi",
    ExplicitVRLittleEndian: "-xe",
    ExplicitVRBigEndian: "-xb",
    JPEGLosslessSV1: "-xs",
    JPEGBaseline8Bit: "-xy",
    JPEG2000Lossless: "-xv",
    JPEG2000: "-xw",
    RLELossless: "-xr",
}
OF_PYDICOM = [
    "examples_palette.dcm",
    "examples_ybr_color.dcm",
    "examples_rgb_color.dcm",
    "examples_jpeg2k.dcm",
    "OBXXXX1A_rle_2frame.dcm",
    "OBXXXX1A_expb.dcm",
    "gdcm-US-ALOKA-16_big.dcm",
    "color3d_jpeg_baseline.dcm",
    "US1_J2KR.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
]


def sources() -> dict[str, bytes]:
    """Every ultrasound file of deid-data, and those of pydicom."""
    found = {name: content_of(name) for name in BURNED}
    return found | {name: Path(get_testdata_file(name, download=False)).read_bytes() for name in OF_PYDICOM}


def storescu(hospital: Hospital, gateway: Gateway, path: Path) -> subprocess.CompletedProcess[str]:
    certificate, key = hospital.of_device
    syntax = UID(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    command = [
        *("storescu", "+tls", str(key), str(certificate), "+cf", str(hospital.certificate)),
        *("-aet", AE_TITLE, "-aec", "SALUS", PROPOSE[syntax], "localhost", str(gateway.port), str(path)),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk's storescu is not installed")
def test_each_real_file_is_in_the_vault_or_kept_back_with_a_reason(
    hospital: Hospital, tmp_path: Path
) -> None:
    uids, reasons = set(), set()
    with hospital.running() as gateway:
        for name, content in sources().items():
            path = tmp_path / f"{name}.dcm"
            path.write_bytes(content)
            sent = storescu(hospital, gateway, path)
            assert sent.returncode == 0, f"{name}: {sent.stdout}{sent.stderr}"
            try:
                uids.add(deidentify(content, pseudonyms_of(hospital.home, hospital.vault), NoText()).uid)
            except Unclean as error:
                reasons.add(error.message)
        while gateway.quarantine.arrived():
            pass
    clean, held = hospital.vault.pending(), gateway.quarantine.held()
    assert {each.uid for each in clean} == uids
    counts = gateway.worker.counts
    assert counts.stored + counts.again + counts.held == len(set(sources().values())), "none is lost"
    assert (counts.stored, counts.held) == (len(clean), len(held))
    # Some of pydicom's are one picture in several encodings.
    twice = "Another instance with this UID and other content is in the vault."
    assert {each.reason for each in held} == reasons | {twice} and len(reasons) >= 3
