"""Who is in a dataset of records, as a cohort needs to know it to be built again."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from protocol.cohort.build import Members, remainder
from protocol.content import canonical
from protocol.data import files
from protocol.errors import DataError
from protocol.vault.next_records import Draws

if TYPE_CHECKING:
    from protocol.vault.record_dataset import RecordDataset


class NoCohort(DataError):
    """A dataset that no cohort was made into."""


def members_of(dataset: RecordDataset) -> Members:
    """The records of a dataset's latest version by the codes that stand for patients there. Raises `DataError`,
    VaultError."""
    newest = dataset.newest()
    return Members(dict(newest.by_code()), _draws(dataset).code, newest.withdrawn_codes())


def without(dataset: RecordDataset, patients: Collection[str]) -> RecordDataset | None:
    """The dataset's next version without these patients, by pseudonym, and without whoever would stand in a class
    smaller than k then; None when it holds nothing of them. Raises VaultError; and `DataError`, for altered evidence
    once the patients are out: who would stand alone cannot be told then."""
    if not dataset.held(patients):
        # Who comes later is noted all the same.
        return dataset.withdraw(patients)
    try:
        codes = left_alone(dataset, patients)
    except DataError:
        dataset.withdraw(patients)
        raise
    return dataset.withdraw(patients, codes=codes)


def left_alone(dataset: RecordDataset, patients: Collection[str]) -> set[bytes]:
    """By their codes, whoever would stand in a class smaller than k once these patients are out; nobody where the
    dataset is of no cohort. Raises `DataError`, VaultError."""
    try:
        source = source_of(dataset)
    except NoCohort:
        return set()
    gone = {_draws(dataset).code(each) for each in patients}
    kept = {code: record for code, record in dataset.newest().by_code() if code not in gone}
    return set(remainder(kept, source["quasi_identifiers"], source["k"]))


def source_of(dataset: RecordDataset) -> dict[str, Any]:
    """What the cohort of a dataset said of itself in the latest version whose evidence may say it. Raises NoCohort
    where none does, and `DataError` for altered evidence."""
    for version in range(dataset.newest().version, 0, -1):
        source = canonical.loads(dataset.open(dataset.folder, version).evidence())["source"]
        if {"mapping", "levels", "k", "consent"} <= set(source):
            return source
    raise NoCohort(f"{dataset.folder.name} was not made by `salus records cohort`.", "Choose another name.")


def _draws(dataset: RecordDataset) -> Draws:
    return Draws(files.read(dataset.folder / "split.key"))
