"""The evidence of a dataset version: what de-identification did to its instances, and a second look at some of them.

    {"kind": "salus/evidence", "profile": "salus-ultrasound-1", "edition": "2026c", "schema": its CID, "root": in hex,
     "train_records": n, "held_out_records": n, "withdrawn": n, "frames": n, "patients": n, where there are ten or more,
     "actions": {"K": n, "X": n, …}, "found_again": n, "unreadable": n, "kept_text": n,
     "masked": {"boxes": n, "share": of all pixels}, "blanked": mean share of a frame,
     "sample": {"seed": first 8 bytes of the root, "instances": n, "text": n, "outside": n, "attributes": n},
     "tools": {"python": version, …}}

Sums and counts alone: nothing in it is one patient's. Where sums would differ from an earlier version's by the images
of too few patients, as after a withdrawal, the document has none, and says so: "sums": false instead of all from
"frames" to "blanked". It is a function of the members, of the vault and of the tools,
and holds the root: whoever makes it again from the vault gets the same bytes, and others if one instance is another.

The second look, at instances that the root draws:
    text         places that the cleaning would mask, anywhere in the picture
    outside      instances that are not black beyond the regions that they declare, as where a person reviewed others
    attributes   that the profile does not let stay, or not with a value
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from protocol.content import canonical
from protocol.content.cid import digest_of, to_cid
from protocol.data.splits import TRAIN
from protocol.errors import DataError, Unclean, VaultError
from protocol.imaging import instances, pixels
from protocol.imaging.headers import ANONYMISED
from protocol.imaging.profile import EDITION, Action, action
from protocol.imaging.text import Box, Found, RapidOcr, TextFinder

if TYPE_CHECKING:
    from protocol.data.images import ImageSchema
    from protocol.vault.images import ImageDataset
    from protocol.vault.members import Member
    from protocol.vault.store import Row, Vault

#: Instances that are looked at again. A cine takes a second or two of one core.
SAMPLE = 8
#: Fewer patients are not counted: the number could speak about one.
MIN_PATIENTS = 10
# What the cleaning itself puts there.
_OWN = {
    "PatientID", "PatientName", "PatientIdentityRemoved", "BurnedInAnnotation", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
}  # fmt: skip
_TOOLS = (
    "dicom-anonymizer", "numpy", "onnxruntime", "pillow", "pyclipper", "pydicom", "python-gdcm",
    "rapidocr-onnxruntime", "salus",
)  # fmt: skip
# One library, distributed under several names.
_OPENCV = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless",
)  # fmt: skip


@dataclass(frozen=True)
class Audit:
    """``stated``: the digest (32 bytes) of the evidence that was made; ``found``: of what the vault gives now;
    ``differing``: the names of the fields in which they differ."""

    stated: bytes
    found: bytes
    differing: list[str]
    document: dict[str, Any]

    @property
    def same(self) -> bool:
        return self.stated == self.found


def make(
    vault: Vault,
    members: Sequence[Member],
    *,
    root: bytes,
    leaves: int,
    schema: ImageSchema,
    profile: str,
    sums: bool = True,
    finder: TextFinder | None = None,
) -> bytes:
    """The document of a version, as canonical JSON. ``leaves``: how many there are, of withdrawn members too; ``sums``:
    whether it may have them.

    Raises VaultError when the vault lacks a member.
    """
    rows = {row.uid: row for row in vault.index()}
    if lost := sum(member.uid not in rows for member in members):
        raise VaultError(
            f"{lost} of the dataset's {len(members)} instances are not in the vault's batches.",
            "Withdraw their patients, or restore the vault from a back-up.",
        )
    finder = finder or RapidOcr()
    seed = root[:8]
    sample = [members[place].uid for place in _drawn(seed, len(members))]
    held_out = sum(member.split != TRAIN for member in members)
    document = {
        "kind": "salus/evidence",
        "profile": profile,
        "edition": EDITION,
        "schema": to_cid(schema.digest()),
        "root": root.hex(),
        "train_records": len(members) - held_out,
        "held_out_records": held_out,
        "withdrawn": leaves - len(members),
        **(_sums([rows[member.uid] for member in members]) if sums else {"sums": False}),
        "sample": {
            "seed": seed.hex(),
            "instances": len(sample),
            **_second_look((vault.content(uid) for uid in sample), finder),
        },
        "tools": {"python": platform.python_version(), "finder": type(finder).__name__, **_versions()},
    }
    patients = len({member.patient for member in members})
    if sums and patients >= MIN_PATIENTS:
        document["patients"] = patients
    return canonical.dumps(document)


def audit(vault: Vault, dataset: ImageDataset, finder: TextFinder | None = None) -> Audit:
    """Makes the evidence of a version again from what the vault holds, every instance hashed.

    Raises DataError when the dataset's own files were altered or the vault lacks a member, VaultError when the vault's
    were altered.
    """
    stated = dataset.evidence()
    members = dataset.members()
    digests = {
        uid: hashlib.sha256(content).hexdigest()
        for uid, content in vault.contents([each.uid for each in members])
    }
    found = make(
        vault,
        [replace(each, sha256=digests[each.uid]) for each in members],
        root=dataset.root_of(digests),
        leaves=dataset.leaves,
        schema=dataset.schema,
        profile=dataset.profile,
        sums=dataset.has_sums,
        finder=finder,
    )
    before, now = canonical.loads(stated), canonical.loads(found)
    differing = [name for name in sorted(before | now) if before.get(name) != now.get(name)]
    return Audit(digest_of(stated), digest_of(found), differing, now)


def _sums(rows: Sequence[Row]) -> dict[str, Any]:
    """Over all instances. Shares come of whole numbers, so that their order does not matter."""
    actions: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for row in rows:
        report = row.report
        actions.update(report["actions"])
        for name in ("found_again", "unreadable", "kept_text", "frames"):
            counts[name] += report[name]
        boxes = [Box(*box) for box in report["masked"]]
        counts["boxes"] += len(boxes)
        counts["masked"] += sum(box.area for box in boxes)
        counts["pixels"] += row.rows * row.columns
        counts["blanked"] += round(report["blanked"] * 10_000)
    return {
        "actions": dict(sorted(actions.items())),
        **{name: counts[name] for name in ("found_again", "unreadable", "kept_text", "frames")},
        "masked": {
            "boxes": counts["boxes"],
            "share": round(counts["masked"] / max(1, counts["pixels"]), 6),
        },
        "blanked": round(counts["blanked"] / (10_000 * max(1, len(rows))), 4),
    }


def _drawn(seed: bytes, count: int) -> list[int]:
    """Up to `SAMPLE` different numbers below ``count``."""
    drawn: dict[int, None] = {}
    draw = 0
    while len(drawn) < min(SAMPLE, count):
        number = hashlib.sha256(seed + draw.to_bytes(4, "big")).digest()
        drawn[int.from_bytes(number[:8], "big") % count] = None
        draw += 1
    return sorted(drawn)


class _NoText:
    def find(self, picture: np.ndarray) -> list[Found]:  # noqa: ARG002
        return []


def _second_look(contents: Iterable[bytes], finder: TextFinder) -> dict[str, int]:
    found = Counter(text=0, outside=0, attributes=0)
    for content in contents:
        try:
            with instances.in_silence():
                dataset = instances.read(content)
                found["attributes"] += sum(not _may_stay(*each) for each in _walk(dataset))
                before = bytes(dataset.PixelData)
                whole = Box(0, 0, int(dataset.Columns), int(dataset.Rows))
                found["text"] += len(pixels.clean(dataset, finder, [whole]).masked)
                dataset.PixelData = before
                found["outside"] += "SequenceOfUltrasoundRegions" in dataset and _blanks_more(dataset)
        except Unclean as error:
            raise DataError(
                f"An instance of the dataset cannot be looked at again: {error.message}"
            ) from None
    return dict(found)


def _walk(dataset: Dataset, *, nested: bool = False) -> Iterator[tuple[DataElement, bool]]:
    for element in dataset:
        yield element, nested
        if element.VR == "SQ":
            for item in element.value:
                yield from _walk(item, nested=True)


def _may_stay(element: DataElement, nested: bool) -> bool:
    if not nested and element.keyword in _OWN:
        return True
    does = action(element.tag, element.VR, nested=nested)
    if does == Action.DUMMY and element.VR != "UI":
        return element.is_empty or element.value in (ANONYMISED, 0)
    return does != Action.REMOVE and (does != Action.EMPTY or element.is_empty)


def _blanks_more(dataset: Dataset) -> bool:
    """Whether blanking by the declared regions would change a picture."""
    before = bytes(dataset.PixelData)
    try:
        pixels.clean(dataset, _NoText())
    except Unclean:
        return True
    return bytes(dataset.PixelData) != before


def _versions() -> dict[str, str]:
    found = {}
    for name in (*_TOOLS, *_OPENCV):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name not in _OPENCV:
                found[name] = "checkout"
    return found
