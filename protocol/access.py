"""What a hospital holds about one patient, for that patient: right of access and portability (GDPR Art. 15 and 20).

A ZIP file, readable by its owner alone:

    about.json      what is in the file, and in which datasets and models the patient's records are
    records.json    FHIR R4: a Bundle (collection) of the resources, as they are kept
    images/         DICOM files, as they are kept

It holds pseudonyms and moved dates, as the vault does: nothing else is kept.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.errors import DataError, InvalidInput

if TYPE_CHECKING:
    from protocol.vault.images import ImageDataset
    from protocol.vault.record_dataset import RecordDataset
    from protocol.vault.records import Records
    from protocol.vault.store import Vault
    from protocol.withdrawal import ModelUse


@dataclass(frozen=True)
class Membership:
    """A dataset that holds something of the patient. ``records``: the rows that it made of the patient's, or the UIDs
    of images; ``versions``: the numbers of those that hold any; ``models`` learned from these."""

    dataset: str
    dataset_id: int | None
    versions: list[int]
    records: list[Mapping[str, Any]]
    models: list[ModelUse] = field(default_factory=list)


@dataclass(frozen=True)
class Held:
    """What is held of one patient. ``resources``: FHIR; ``images``: UIDs; ``pseudonyms``: under which they are kept."""

    pseudonyms: list[str]
    resources: list[Mapping[str, Any]]
    images: list[str]
    memberships: list[Membership]

    @property
    def is_empty(self) -> bool:
        return not (self.resources or self.images or self.memberships)


def held_of(
    pseudonyms: Sequence[str], vault: Vault, records: Records, memberships: Sequence[Membership]
) -> Held:
    """What the vault has under some pseudonyms of one patient. Raises VaultError."""
    resources = [each.content for each in records.scan(patients=list(pseudonyms))]
    images = [row.uid for row in vault.index() if row.patient in set(pseudonyms)]
    return Held(list(pseudonyms), resources, images, list(memberships))


def write(held: Held, vault: Vault, target: Path) -> None:
    """Writes the file, new and whole, mode 0600. Raises InvalidInput when nothing is held, DataError when the file is
    there or cannot be written, VaultError when an image cannot be read."""
    if held.is_empty:
        raise InvalidInput("Nothing is held under this id.", "Give it as records and images have it.")
    part: Path | None = None
    try:
        # mkstemp makes it for its owner alone.
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        part = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("about.json", _json(_about(held)))
                archive.writestr("records.json", _json(_bundle(held.resources)))
                for uid, content in vault.contents(held.images):
                    archive.writestr(f"images/{uid}.dcm", content)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, target)
    except FileExistsError:
        raise DataError(f"{target} exists already.", "Choose another file.") from None
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}.", "Is the disk full?") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def membership(dataset: ImageDataset | RecordDataset, held: Sequence[str]) -> Membership | None:
    """What a dataset holds of a patient, ``held`` being pseudonyms, or UIDs where it is of images; None when it holds
    nothing. Raises `DataError`, VaultError."""
    from protocol.vault.record_dataset import RecordDataset

    versions = dataset.held(held)
    if not versions:
        return None
    is_table = isinstance(dataset, RecordDataset)
    records = dataset.records_of(held) if is_table else [{"image": uid} for uid in sorted(held)]
    return Membership(dataset.folder.name, dataset.dataset_id, versions, records)


def with_models(found: Membership, models: Sequence[ModelUse]) -> Membership:
    """The same, with the models that learned from it."""
    return replace(found, models=list(models))


def _about(held: Held) -> dict[str, Any]:
    return {
        "kind": "salus/held",
        "rights": "GDPR Art. 15 and 20",
        "pseudonyms": held.pseudonyms,
        "resources": len(held.resources),
        "images": held.images,
        "datasets": [
            {
                **{name: value for name, value in asdict(each).items() if name != "models"},
                "models": [
                    {"model": f"{use.model_id}@{use.version}", "status": use.status.name.lower()}
                    for use in each.models
                ],
            }
            for each in held.memberships
        ],
        "elsewhere": "The chain has a Merkle root over all records of a dataset, and counts. No record, nor anything"
        " made from one alone, is on the chain or on IPFS.",
    }


def _bundle(resources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in resources],
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
