"""From a vault that fills to versions on the chain: datasets grow while devices send.

Many instances go into one version, and never those of a few patients alone: when somebody came is personal too. Each
step is looked up before it is done, so that after a crash between two of them the next look goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from protocol.data.splits import MIN_RECORDS
from protocol.errors import SalusError
from protocol.imaging.text import TextFinder
from protocol.vault.images import ImageDataset, datasets_in
from protocol.vault.store import Sign, Vault

log = logging.getLogger(__name__)

#: After something failed, the chain or the IPFS daemon most likely.
PAUSE_SECONDS = 30.0
#: Labels and withdrawals come without a batch.
LOOK_SECONDS = 60.0


@dataclass(frozen=True)
class Pace:
    """How often a version is appended: for ``instances`` that wait, or ``seconds`` after the first of them came; in
    either case only once they are of ``patients``."""

    instances: int = 200
    seconds: int = 3_600
    patients: int = 5


class Anchor:
    """Called now and then, it batches what waits in the vault, and appends it to the hospital's image datasets.

    ``register`` puts a dataset's newest version on the chain unless it is there, and says whether it did; without it
    all stays in the vault. ``finder``: see `ImageDataset.extend`.
    """

    def __init__(
        self,
        vault: Vault,
        datasets: Path,
        pace: Pace,
        sign: Sign | None = None,
        register: Callable[[ImageDataset], bool] | None = None,
        finder: TextFinder | None = None,
    ) -> None:
        self.vault, self.datasets, self.pace = vault, datasets, pace
        self._sign, self._register, self._finder = sign, register, finder
        self._not_before: dict[Path, float] = {}

    def __call__(self) -> None:
        """One look. What fails is said in a line and tried again later, and holds no other dataset up."""
        if self._may_try(self.vault.folder):
            with self._failing(self.vault.folder):
                if self._is_due() and (batch := self.vault.flush(self._sign)):
                    log.info("batch %s is in the vault", batch)
                    self._not_before.clear()
        for dataset in datasets_in(self.datasets, self.vault):
            if self._may_try(dataset.folder):
                self._not_before[dataset.folder] = time.monotonic() + LOOK_SECONDS
                with self._failing(dataset.folder):
                    self._grow(dataset)

    def _may_try(self, folder: Path) -> bool:
        return time.monotonic() >= self._not_before.get(folder, 0.0)

    @contextmanager
    def _failing(self, folder: Path) -> Iterator[None]:
        try:
            yield
        except SalusError as error:
            self._not_before[folder] = time.monotonic() + PAUSE_SECONDS
            log.warning("%s waits %.0f s: %s", folder.name, PAUSE_SECONDS, error)

    def _is_due(self) -> bool:
        waiting = self.vault.pending()
        if len({each.patient for each in waiting}) < max(1, self.pace.patients):
            return False
        oldest = min(each.received_at for each in waiting)
        return len(waiting) >= self.pace.instances or time.time() - oldest >= self.pace.seconds

    def _grow(self, dataset: ImageDataset) -> None:
        # What a crash left unregistered goes first: the chain has the versions that the folder has.
        self._put(dataset)
        if grown := dataset.extend(self.vault, min_patients=self.pace.patients, finder=self._finder):
            self._put(grown)

    def _put(self, dataset: ImageDataset) -> None:
        """Registers a version, unless withdrawals have left too little of it."""
        if self._register is None or dataset.dataset_id is None:
            return
        if min(dataset.train_records, dataset.held_out_records) < MIN_RECORDS:
            return
        if self._register(dataset):
            log.info(
                "dataset %s: a version of %s + %s records is on the chain",
                dataset.dataset_id,
                dataset.train_records,
                dataset.held_out_records,
            )
