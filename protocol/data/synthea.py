"""Synthea's sample patients (Walonoski et al. 2018): FHIR R4 transaction bundles of 99 people who never lived.

Their owner publishes a folder of files and no archive, so the archive is found where the other public sets may lie, and
is not fetched.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from protocol.data import catalogue
from protocol.errors import DataError, DataUnavailable

FILE = "synthea-r4-99.zip"
SYNTHEA = catalogue.PublicSet(
    name="fhir-synthea",
    title="Synthea, 99 patients in FHIR R4 (smart-on-fhir/generated-sample-data, folder R4/SYNTHEA)",
    licence="Apache-2.0",
    address="",
    files={FILE: "aa0597dfc4da7b75c84c993828737977547b8f41428ffbb9ca3ead739a530d36"},
)
PATIENTS = 99
MAX_BUNDLE_BYTES = 64 * 1024 * 1024


def find() -> Path:
    """The archive, with its pinned SHA-256. Raises `DataUnavailable` with what was wrong with each place."""
    reasons = []
    for folder in catalogue.folders_for(SYNTHEA):
        if not (reason := catalogue.reason_against(folder, SYNTHEA)):
            return folder / FILE
        reasons.append(f"{folder}: {reason}")
    raise DataUnavailable(
        f"{SYNTHEA.title} cannot be had. {'; '.join(reasons) or 'It lies in no known folder'}.",
        f"It is not fetched: put {FILE} into a folder {SYNTHEA.name}/ and name the folder above it in SALUS_DATA.",
    )


def bundles() -> Iterator[dict[str, Any]]:
    """Each patient's Bundle, in the order of the archive. Raises `DataUnavailable`, `DataError`."""
    path = find()
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".json") and entry.file_size <= MAX_BUNDLE_BYTES:
                    yield orjson.loads(archive.read(entry))
    except (OSError, zipfile.BadZipFile, orjson.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read ({type(error).__name__}).", "Fetch it again.") from None


def unpack(folder: Path) -> list[Path]:
    """Writes each Bundle to a file named by its number, and returns the files. Raises as `bundles`, and `OSError`."""
    paths = []
    for number, content in enumerate(bundles(), start=1):
        path = folder / f"bundle-{number:03}.json"
        path.write_bytes(orjson.dumps(content))
        paths.append(path)
    return paths
