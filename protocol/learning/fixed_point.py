"""The model state as one vector of fixed-point integers.

All tensors of a model, in the order of their names (as UTF-8 bytes), flattened in C order and laid end to
end as ``int32``. Each tensor has its fraction bits ``f``: the integer ``x`` stands for ``x / 2**f``.
Dividing by a power of two is exact and the step to float32 rounds to nearest even (IEEE 754), so one state
gives the same weights everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from protocol.errors import LearningError, NotFinite, WrongLength

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1
MAX_LANES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each tensor lies in the state vector.

    ``names`` are sorted by their UTF-8 bytes; ``shapes`` and ``bits`` (fraction bits) go with them;
    ``lanes`` is the length of the vector.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    bits: tuple[int, ...]
    lanes: int

    @classmethod
    def of(
        cls,
        shapes: Mapping[str, Sequence[int]],
        fraction_bits: int = 24,
        tensors: Mapping[str, int] | None = None,
    ) -> Layout:
        """The layout of tensors with these shapes.

        ``fraction_bits`` holds for every tensor that ``tensors`` does not name. Raises LearningError when
        ``tensors`` names a tensor that the model lacks, or when there is nothing to lay out or too much
        (``MAX_LANES``).
        """
        named = dict(tensors or {})
        unknown = sorted(set(named) - set(shapes))
        if unknown:
            raise LearningError(
                f"The model has no tensor {unknown[0]!r}.", f"Its tensors are {', '.join(sorted(shapes))}."
            )
        names = tuple(sorted(shapes, key=lambda name: name.encode()))
        sizes = tuple(tuple(int(side) for side in shapes[name]) for name in names)
        lanes = sum(math.prod(shape) for shape in sizes)
        if not 1 <= lanes <= MAX_LANES:
            raise LearningError(f"A state of {lanes:,} numbers is outside 1 to {MAX_LANES:,}.")
        bits = tuple(named.get(name, fraction_bits) for name in names)
        if not all(0 <= f <= 30 for f in bits):
            raise LearningError("Fraction bits lie between 0 and 30.")
        return cls(names, sizes, bits, lanes)

    def slices(self) -> Iterator[tuple[str, tuple[int, ...], int, slice]]:
        """Name, shape, fraction bits and place in the vector of each tensor, in the vector's order."""
        start = 0
        for name, shape, bits in zip(self.names, self.shapes, self.bits, strict=True):
            stop = start + math.prod(shape)
            yield name, shape, bits, slice(start, stop)
            start = stop


def require_vector(x: np.ndarray, lanes: int, what: str) -> np.ndarray:
    """``x`` itself, when it is int32[lanes]; else WrongLength or LearningError naming ``what``."""
    if x.shape != (lanes,):
        raise WrongLength(f"{what} has shape {x.shape}; the model's has ({lanes},).")
    if x.dtype != np.int32:
        raise LearningError(f"{what} is {x.dtype}; it must be int32.")
    return x


def to_floats(x: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """The float32 tensors that the state int32[lanes] stands for. Raises WrongLength."""
    require_vector(x, layout.lanes, "The state")
    return {
        name: np.ldexp(x[place].astype(np.float64), -bits).astype(np.float32).reshape(shape)
        for name, shape, bits, place in layout.slices()
    }


def from_floats(tensors: Mapping[str, np.ndarray], layout: Layout) -> np.ndarray:
    """The state int32[lanes] nearest to the tensors (ties to even).

    Raises WrongLength for a missing, extra or misshapen tensor, NotFinite for NaN or infinity, and
    LearningError for a number that the fixed point cannot hold.
    """
    if set(tensors) != set(layout.names):
        difference = sorted(set(tensors) ^ set(layout.names))
        raise WrongLength(f"The tensors are not the model's: {', '.join(difference)} missing or too many.")
    x = np.empty(layout.lanes, np.int32)
    for name, shape, bits, place in layout.slices():
        tensor = np.asarray(tensors[name])
        if tensor.shape != shape:
            raise WrongLength(f"Tensor {name} has shape {tensor.shape}; the model's has {shape}.")
        if not np.isfinite(tensor).all():
            raise NotFinite(f"Tensor {name} holds NaN or infinity.")
        scaled = np.rint(np.ldexp(tensor.astype(np.float64).ravel(), bits))
        if scaled.min(initial=0.0) < INT32_MIN or scaled.max(initial=0.0) > INT32_MAX:
            raise LearningError(
                f"Tensor {name} passes {2.0 ** (31 - bits):g}, the range of {bits} fraction bits.",
                "Give the tensor fewer fraction bits in state.tensors.",
            )
        x[place] = scaled
    return x


def to_safetensors(x: np.ndarray, layout: Layout, metadata: Mapping[str, str] | None = None) -> bytes:
    """The state as a safetensors file of float32 tensors. Raises WrongLength."""
    return save(to_floats(x, layout), metadata=dict(metadata or {}))


def from_safetensors(data: bytes, layout: Layout) -> np.ndarray:
    """The state int32[lanes] of a safetensors file; errors as in ``from_floats``, LearningError when it is
    no such file."""
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise LearningError(f"These bytes are no safetensors file: {error}.") from error
    return from_floats(tensors, layout)
