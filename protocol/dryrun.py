"""One round of a job on a hospital's own dataset, before anybody proposes or joins it. Nothing leaves the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from protocol.content import vectors
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.drafts import fresh_base
from protocol.errors import InvalidInput
from protocol.learning import metrics, train, zoo
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.metrics import Metrics
from protocol.spec import JobSpec
from protocol.vault.images import opened

if TYPE_CHECKING:
    from protocol.vault.store import Vault


@dataclass(frozen=True)
class DryRound:
    """``seconds`` and ``loss`` of local training (no loss with differential privacy); metrics on the held-out records
    ``before`` and ``after`` a round in which this hospital is alone."""

    train_records: int
    seconds: float
    loss: float | None
    before: Metrics
    after: Metrics


def dry_round(ipfs: Ipfs, spec: JobSpec, folder: Path, vault: Vault | None = None) -> DryRound:
    """Trains, quantises and merges one round of ``spec`` on the dataset in ``folder``, as a node would.

    ``vault``: opened, for a dataset of images or of its records. Raises InvalidInput when the dataset has another
    schema, DataError, VaultError, ContentError, LearningError.
    """
    dataset = opened(folder, vault=vault)
    if dataset.schema.digest() != spec.schema_digest:
        raise InvalidInput(
            f"Dataset {folder.name} has another schema ({dataset.schema.name}) than the spec ({spec.schema.name}).",
            "Choose a dataset that was registered with the spec's schema.",
        )
    layout = zoo.layout(spec.model, spec.state)
    base = _base(ipfs, spec, layout.lanes)
    held_out = dataset.arrays(HELD_OUT)
    result = train.train(spec, base, *dataset.arrays(TRAIN), round=1, seed=spec.training.seed)
    [share] = weights([dataset.train_records], spec.merge.max_weight_bps)
    update = quantise(result.delta, share, 1, layout, spec.merge.clip_norm)
    return DryRound(
        train_records=dataset.train_records,
        seconds=result.seconds,
        loss=result.loss,
        before=metrics.evaluate(spec, base, *held_out),
        after=metrics.evaluate(spec, merge(base, [[update]], spec.merge.server_step), *held_out),
    )


def _base(ipfs: Ipfs, spec: JobSpec, lanes: int) -> np.ndarray:
    """The state that the spec starts from: fresh weights of its seed, else fetched by its digests."""
    wanted = VectorRef(spec.base.cid, spec.base.root)
    fresh = fresh_base(spec)
    return fresh if vectors.reference(fresh) == wanted else vectors.get_vector(ipfs, wanted, lanes)
