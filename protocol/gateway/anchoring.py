"""From a vault that fills to versions on the chain: datasets grow while devices send.

Many instances go into one version, and never those of a few patients alone: when somebody came is personal too. Each
step is looked up before it is done, so that after a crash between two of them the next look goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import SalusError
from protocol.imaging.text import TextFinder
from protocol.vault.images import ImageDataset, datasets_in
from protocol.vault.store import Sign, Vault

log = logging.getLogger(__name__)

#: After something failed, the chain or the IPFS daemon most likely.
PAUSE_SECONDS = 30.0


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
        self._not_before = 0.0
        self._todo = True

    def __call__(self) -> None:
        """One look. What fails is said in a line, and tried again later."""
        if time.monotonic() < self._not_before:
            return
        try:
            if self._is_due() and (batch := self.vault.flush(self._sign)):
                log.info("batch %s is in the vault", batch)
                self._todo = True
            if self._todo:
                self._grow()
                self._todo = False
        except SalusError as error:
            self._not_before = time.monotonic() + PAUSE_SECONDS
            log.warning("nothing is anchored for %.0f s: %s", PAUSE_SECONDS, error)

    def _is_due(self) -> bool:
        waiting = self.vault.pending()
        if len({each.patient for each in waiting}) < max(1, self.pace.patients):
            return False
        oldest = min(each.received_at for each in waiting)
        return len(waiting) >= self.pace.instances or time.time() - oldest >= self.pace.seconds

    def _grow(self) -> None:
        for dataset in datasets_in(self.datasets, self.vault):
            # What a crash left unregistered goes first: the chain has the versions that the folder has.
            self._put(dataset)
            if grown := dataset.extend(self.vault, min_patients=self.pace.patients, finder=self._finder):
                self._put(grown)

    def _put(self, dataset: ImageDataset) -> None:
        if self._register and dataset.dataset_id is not None and self._register(dataset):
            log.info(
                "dataset %s: a version of %s + %s records is on the chain",
                dataset.dataset_id,
                dataset.train_records,
                dataset.held_out_records,
            )
