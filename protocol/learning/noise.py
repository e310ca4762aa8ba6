"""Randomness of differential privacy: straight from the system's generator (``os.urandom``), never from a seed.

A seeded generator will not do: torch's takes 32 bits of its seed on a CPU, which can be tried out one by one, and the
state of NumPy's can be computed back from their output. Opacus's own answer, ``secure_mode``, needs torchcsprng, which
is no longer maintained.

What is drawn is Gaussian in the real numbers and only nearly so in ours (Mironov 2012; Jin et al. 2022): which
floating-point numbers can occur depends a little on what the noise hides. As in Opacus's secure mode, each value is the
sum of four draws over two (Holohan & Braghin 2021), after which no practical way to use that dependence is known. That
is no proof: a discrete mechanism would be one.
"""

from __future__ import annotations

import math
import os

import numpy as np

DRAWS = 4
# 2^-53: uniform numbers are whole multiples of it, as many as float64 tells apart below 1.
_GRAIN = 2.0**-53


def uniform(count: int) -> np.ndarray:
    """float64[count], uniform in [0, 1)."""
    return (np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(11)) * _GRAIN


def normal(shape: tuple[int, ...]) -> np.ndarray:
    """float64 of this shape, standard normal."""
    count = math.prod(shape)
    total = np.zeros(count)
    for _ in range(DRAWS):
        total += _box_muller(count)
    return (total / math.sqrt(DRAWS)).reshape(shape)


def _box_muller(count: int) -> np.ndarray:
    half = -(-count // 2)
    # 1 - u lies in (0, 1], where the logarithm is finite.
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform(half)))
    angle = 2.0 * np.pi * uniform(half)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
