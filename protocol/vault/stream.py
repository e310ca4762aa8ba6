"""A split of an image dataset for torch, read from the vault as it goes: little of it is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from protocol.vault.pictures import encoded

if TYPE_CHECKING:
    from protocol.data.images import ImageSchema
    from protocol.vault.images import Member
    from protocol.vault.store import Vault

BUFFER = 1_024
Pair = tuple[torch.Tensor, torch.Tensor]


class Stream(IterableDataset):
    """Pairs of a picture float32[channels, rows, columns] and a label float32[]: each member once an iteration.

    ``seed``: another order in every iteration, drawn from a buffer of `BUFFER` pictures; without it they come as the
    vault holds them. Several workers of a DataLoader share the members; they must be forked, for no key leaves this
    process. Raises VaultError and DataError as `pictures.encoded` does.
    """

    def __init__(
        self, vault: Vault, schema: ImageSchema, members: Sequence[Member], *, seed: int | None = None
    ) -> None:
        super().__init__()
        self._vault, self._schema, self._members = vault, schema, list(members)
        self._seed, self._epoch = seed, 0

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Pair]:
        worker, members = get_worker_info(), self._members
        if worker is not None:
            bounds = np.linspace(0, len(members), worker.num_workers + 1).astype(int)
            members = members[bounds[worker.id] : bounds[worker.id + 1]]
        pairs = (
            (torch.from_numpy(picture), torch.from_numpy(self._schema.labels([member.label]))[0])
            for member, picture in encoded(self._vault, self._schema, members)
        )
        epoch, self._epoch = self._epoch, self._epoch + 1
        return pairs if self._seed is None else _shuffled(pairs, np.random.default_rng([self._seed, epoch]))


def _shuffled(items: Iterator[Pair], draw: np.random.Generator) -> Iterator[Pair]:
    held: list[Pair] = []
    for item in items:
        if len(held) < BUFFER:
            held.append(item)
            continue
        place = int(draw.integers(BUFFER))
        yield held[place]
        held[place] = item
    for place in draw.permutation(len(held)):
        yield held[place]
