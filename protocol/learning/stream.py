"""Pictures for torch that are read as training goes: few of them are in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

BUFFER = 1_024
Pair = tuple[torch.Tensor, torch.Tensor]
#: From one place to before another: pictures float32[channels, rows, columns], labels float32[], in any order.
Read = Callable[[int, int], Iterator[tuple[np.ndarray, np.ndarray]]]


class Stream(IterableDataset):
    """Pairs of a picture float32[channels, rows, columns] and a label float32[]: each of ``count`` once an iteration.

    ``seed``: another order in every iteration, drawn from a buffer of `BUFFER` pictures; without it they come as they
    are read. Several workers of a DataLoader share the pictures; they must be forked where ``read`` holds a key, which
    leaves no process. Raises what ``read`` does.
    """

    def __init__(self, count: int, read: Read, *, seed: int | None = None) -> None:
        super().__init__()
        self._count, self._read = count, read
        self._seed, self._epoch = seed, 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Pair]:
        start, end = 0, self._count
        if (worker := get_worker_info()) is not None:
            start, end = (self._count * (worker.id + each) // worker.num_workers for each in (0, 1))
        pairs = (
            (torch.from_numpy(picture), torch.from_numpy(label)) for picture, label in self._read(start, end)
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
