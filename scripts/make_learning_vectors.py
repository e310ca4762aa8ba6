"""Writes tests/vectors/{fixed_point,weights,quantise,merge}.json.

The expected values come from the definitions in docs, in Python's own integers, fractions and floats and
one number at a time, not from the code under test. Floats are written as C99 hexadecimal, so they are
exact.

    python scripts/make_learning_vectors.py
"""

from __future__ import annotations

import json
import math
import random
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "vectors"
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def fixed_point() -> dict[str, Any]:
    """Integers to float32 bit patterns, and floats to integers."""
    numbers = [0, 1, -1, 255, 2**24, 2**24 + 1, -(2**24) - 3, 2**25 + 6, INT32_MAX, INT32_MIN, INT32_MAX - 64]
    to_float = [
        {"bits": bits, "x": x, "float32": struct.pack(">f", math.ldexp(x, -bits)).hex()}
        for bits in (8, 16, 24, 30)
        for x in numbers
    ]
    floats = [
        0.0,
        -0.0,
        0.5,
        -1.0,
        1e-9,
        2.0**-25,
        -(2.0**-25),
        3 * 2.0**-25,
        127.0,
        -128.0,
        math.pi,
        -math.e,
    ]
    from_float = [
        {"bits": bits, "float": value.hex(), "x": round(math.ldexp(value, bits))}
        for bits in (8, 24)
        for value in floats
    ]
    return {
        "about": "int32 x is x / 2**f rounded to float32 (big-endian bits); back: ties to even.",
        "to_float": to_float,
        "from_float": from_float,
    }


def water_filling(counts: list[int], cap: Fraction) -> list[Fraction]:
    """Largest first: whoever exceeds the cap gets the cap, and the rest is shared out again among those
    after it."""
    if cap * len(counts) <= 1:
        return [Fraction(1, len(counts))] * len(counts)
    shares: dict[int, Fraction] = {}
    rest, total = Fraction(1), sum(counts)
    for index in sorted(range(len(counts)), key=lambda index: -counts[index]):
        shares[index] = min(cap, rest * counts[index] / total)
        rest -= shares[index]
        total -= counts[index]
    return [shares[index] for index in range(len(counts))]


def weights() -> dict[str, Any]:
    cases = [
        ([199, 172, 30, 85], 10_000),
        ([199, 172, 30, 85], 4_000),
        ([199, 172, 30, 85], 3_500),
        ([199, 172, 30, 85], 2_500),
        ([199, 172, 30, 85], 100),
        ([1], 10_000),
        ([1], 1),
        ([1, 1, 1], 10_000),
        ([1_000_000, 1, 1], 5_000),
        ([4_294_967_295, 4_294_967_295, 1], 3_334),
        ([5, 4, 3, 2, 1, 1, 1], 1_700),
    ]
    return {
        "about": "Exact shares [numerator, denominator] of training counts, capped by water-filling.",
        "cases": [
            {
                "counts": counts,
                "max_weight_bps": bps,
                "weights": [
                    [w.numerator, w.denominator] for w in water_filling(counts, Fraction(bps, 10_000))
                ],
            }
            for counts, bps in cases
        ],
    }


def quantise_one(
    delta: list[float], bits: list[int], weight: Fraction, participants: int, clip: float
) -> list[int]:
    largest = max(map(abs, delta))
    norm = largest * math.sqrt(math.fsum((d / largest) ** 2 for d in delta)) if largest else 0.0
    factor = clip / norm if norm > clip else 1.0
    q = []
    for d, f in zip(delta, bits, strict=True):
        bound = math.ldexp(INT32_MAX - participants, -f)
        q.append(round(math.ldexp(float(weight) * max(-bound, min(bound, d * factor)), f)))
    return q


def quantise() -> dict[str, Any]:
    rng = random.Random(2)
    gauss = [rng.gauss(0, 0.05) for _ in range(24)]
    cases: list[tuple[str, list[float], list[tuple[str, int, int]], Fraction, int, float]] = [
        ("plain", gauss, [("0.bias", 4, 24), ("0.weight", 20, 24)], Fraction(199, 486), 4, 10.0),
        ("two scales", gauss, [("a", 10, 16), ("b", 14, 28)], Fraction(1, 3), 3, 10.0),
        ("clipped by norm", [3.0, 4.0, 0.0], [("w", 3, 24)], Fraction(1, 2), 2, 1.0),
        ("ties to even", [0.5, 1.5, 2.5, -0.5, -1.5], [("w", 5, 0)], Fraction(1), 1, 100.0),
        ("clipped by coordinate", [1e9, -1e9, 1.0], [("w", 3, 24)], Fraction(1), 18, 1e12),
        ("zero", [0.0, -0.0], [("w", 2, 24)], Fraction(1, 7), 7, 1.0),
        ("no overflow of squares", [1e200, -1e200], [("w", 2, 24)], Fraction(1, 2), 2, 1.0),
    ]
    return {
        "about": "q = rint(w * clip(delta) * 2**f): by L2 norm, then to (2**31 - 1 - participants) / 2**f.",
        "cases": [
            {
                "name": name,
                "tensors": [
                    {"name": tensor, "lanes": lanes, "bits": bits} for tensor, lanes, bits in tensors
                ],
                "weight": [weight.numerator, weight.denominator],
                "participants": participants,
                "clip_norm": clip.hex(),
                "delta": [d.hex() for d in delta],
                "q": quantise_one(
                    delta,
                    [bits for _, lanes, bits in tensors for _ in range(lanes)],
                    weight,
                    participants,
                    clip,
                ),
            }
            for name, delta, tensors, weight, participants, clip in cases
        ],
    }


def merge_one(x: int, updates: list[int], server_step: int) -> int:
    total = (sum(updates) + 2**31) % 2**32 - 2**31
    return max(INT32_MIN, min(INT32_MAX, x + (server_step * total >> 16)))


def merge() -> dict[str, Any]:
    rng = random.Random(1)
    bound = INT32_MAX - 18

    def any_int32() -> int:
        return rng.randint(INT32_MIN, INT32_MAX)

    cases: list[tuple[str, int, list[int], list[list[int]]]] = [
        ("three hospitals", 65536, [1 << 24, -5, 0], [[100, -7, 1], [-50, 3, 1], [25, 1, -3]]),
        ("floor of negative halves", 32768, [0, 0, 0, 0], [[-1, -2, -3, 3]]),
        ("floor of the smallest step", 1, [0, 0, 0], [[-1, 1, 65536]]),
        (
            "saturates",
            65536,
            [INT32_MAX, INT32_MIN, INT32_MAX - 1],
            [[1, -1, 1], [INT32_MAX - 1, INT32_MIN + 1, 0]],
        ),
        ("the sum wraps", 65536, [0, 0], [[INT32_MAX, INT32_MIN], [1, -1]]),
        ("largest step", 2**32 - 1, [0, 0, 5], [[INT32_MIN, INT32_MAX, 1]]),
        (
            "eighteen at the bound, one each",
            65536,
            [0, 0],
            [[bound // 18, -(bound // 18)] for _ in range(18)],
        ),
        ("eighteen out of range wrap", 65536, [7, -7], [[bound, -bound] for _ in range(18)]),
        (
            "any numbers",
            98304,
            [any_int32() for _ in range(40)],
            [[any_int32() for _ in range(40)] for _ in range(5)],
        ),
    ]
    return {
        "about": "S = sum mod 2**32 as int32; x' = saturate(x + ((server_step * S) >> 16)), floor.",
        "cases": [
            {
                "name": name,
                "server_step": step,
                "state": state,
                "updates": updates,
                "result": [
                    merge_one(x, [update[lane] for update in updates], step) for lane, x in enumerate(state)
                ],
            }
            for name, step, state, updates in cases
        ],
    }


def documents() -> dict[str, str]:
    """File name -> content."""
    made = {"fixed_point": fixed_point(), "weights": weights(), "quantise": quantise(), "merge": merge()}
    return {f"{name}.json": json.dumps(content, indent=1) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    VECTORS.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (VECTORS / name).write_text(text)
        print(f"tests/vectors/{name}: {len(text):,} bytes")
