"""Writes tests/vectors/{fixed_point,weights,quantise,merge,groups,masks}.json.

The expected values come from the definitions in docs, in Python's own integers, fractions and floats and
one number at a time, not from the code under test; only the ciphers are a library's. Floats are written as
C99 hexadecimal, so they are exact.

    python scripts/make_learning_vectors.py
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import random
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

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


def combine_one(sums: list[int], rule: str) -> int:
    """Floor of the mean of the groups' sums, or their median."""
    if rule == "mean":
        return sum(sums) // len(sums)
    ordered, half = sorted(sums), len(sums) // 2
    return ordered[half] if len(sums) % 2 else (ordered[half - 1] + ordered[half]) // 2


def merge_one(x: int, groups: list[list[int]], server_step: int, rule: str) -> int:
    sums = [(sum(group) + 2**31) % 2**32 - 2**31 for group in groups]
    return max(INT32_MIN, min(INT32_MAX, x + (server_step * combine_one(sums, rule) >> 16)))


def merge() -> dict[str, Any]:
    rng = random.Random(1)
    bound = INT32_MAX - 18

    def any_int32() -> int:
        return rng.randint(INT32_MIN, INT32_MAX)

    def any_groups(lanes: int, *sizes: int) -> list[list[list[int]]]:
        return [[[any_int32() for _ in range(lanes)] for _ in range(size)] for size in sizes]

    cases: list[tuple[str, int, list[int], list[list[list[int]]]]] = [
        ("three hospitals", 65536, [1 << 24, -5, 0], [[[100, -7, 1], [-50, 3, 1], [25, 1, -3]]]),
        ("floor of negative halves", 32768, [0, 0, 0, 0], [[[-1, -2, -3, 3]]]),
        ("floor of the smallest step", 1, [0, 0, 0], [[[-1, 1, 65536]]]),
        (
            "saturates",
            65536,
            [INT32_MAX, INT32_MIN, INT32_MAX - 1],
            [[[1, -1, 1], [INT32_MAX - 1, INT32_MIN + 1, 0]]],
        ),
        ("the sum wraps", 65536, [0, 0], [[[INT32_MAX, INT32_MIN], [1, -1]]]),
        ("largest step", 2**32 - 1, [0, 0, 5], [[[INT32_MIN, INT32_MAX, 1]]]),
        (
            "eighteen at the bound, one each",
            65536,
            [0, 0],
            [[[bound // 18, -(bound // 18)] for _ in range(18)]],
        ),
        ("eighteen out of range wrap", 65536, [7, -7], [[[bound, -bound] for _ in range(18)]]),
        ("any numbers", 98304, [any_int32() for _ in range(20)], any_groups(20, 5)),
        (
            "two groups: floor of odd sums",
            65536,
            [0, 0, 0, 0],
            [[[1, -1, 3, -3], [1, -1, 0, 0], [0, 0, 0, 0]], [[1, -1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]],
        ),
        (
            "three groups, one poisoned",
            65536,
            [0, 0],
            [[[1, 2], [3, 4], [5, 6]], [[2, 2], [4, 4], [5, 5]], [[INT32_MAX, INT32_MIN], [0, 0], [0, 0]]],
        ),
        (
            "a group wraps by itself",
            65536,
            [0, 0],
            [[[INT32_MAX, INT32_MIN], [1, -1], [0, 0]], [[5, 5], [5, 5], [5, 5]]],
        ),
        (
            "two groups at both ends",
            65536,
            [0, 0],
            [[[INT32_MIN, INT32_MAX]] + [[0, 0]] * 2, [[INT32_MAX, INT32_MAX]] + [[0, 0]] * 2],
        ),
        ("any four groups", 65536, [any_int32() for _ in range(10)], any_groups(10, 3, 4, 3, 3)),
        (
            "any five groups, largest step",
            2**32 - 1,
            [any_int32() for _ in range(10)],
            any_groups(10, *[3] * 5),
        ),
        ("any six groups of three", 49152, [any_int32() for _ in range(12)], any_groups(12, *[3] * 6)),
        ("sixteen groups", 65536, [any_int32() for _ in range(8)], any_groups(8, *[3] * 16)),
    ]
    return {
        "about": "S of a group = sum mod 2**32 as int32; M = floor(sum of S / groups), or their median (of an "
        "even number the floor of the mean of the two middle ones); x' = saturate(x + ((server_step * M)"
        " >> 16)), floor. `groups` hold the updates of each group; `mean` and `median` are the next "
        "states.",
        "cases": [
            {
                "name": name,
                "server_step": step,
                "state": state,
                "groups": groups,
                **{
                    rule: [
                        merge_one(x, [[each[lane] for each in group] for group in groups], step, rule)
                        for lane, x in enumerate(state)
                    ]
                    for rule in ("mean", "median")
                },
            }
            for name, step, state, groups in cases
        ],
    }


def labels_of(seed: bytes, members: list[int], most: int) -> int:
    """A Fisher-Yates shuffle; labels are dealt in turn."""
    count = min(most, len(members) // 3)
    if count < 2:
        return 0
    order = list(members)
    for i in reversed(range(1, len(order))):
        j = int(hashlib.sha256(seed + i.to_bytes(32, "big")).hexdigest(), 16) % (i + 1)
        order[i], order[j] = order[j], order[i]
    return int(
        "".join(f"{order.index(index) % count if index in order else 0:x}" for index in reversed(range(48))),
        16,
    )


def groups() -> dict[str, Any]:
    shapes: list[tuple[list[int], int]] = [
        ([0, 1, 2], 4),
        ([0, 1, 2, 3, 4], 2),
        ([0, 1, 2, 3, 4, 5], 2),
        ([0, 1, 2, 3, 4, 5], 1),
        ([1, 3, 4, 7, 11, 19, 20], 2),
        (list(range(9)), 3),
        (list(range(10)), 16),
        (list(range(18)), 6),
        (list(range(0, 48, 2)), 8),
        ([0, 5, 17, 23, 40, 41, 46, 47], 2),
        (list(range(48)), 16),
        (list(range(48)), 5),
    ]
    cases = []
    for number, (members, most) in enumerate(shapes):
        seed = hashlib.sha256(f"block {number}".encode()).digest()
        labels = labels_of(seed, members, most)
        by_label: dict[int, list[int]] = {}
        for index in members:
            by_label.setdefault(labels >> 4 * index & 15, []).append(index)
        cases.append(
            {
                "seed": "0x" + seed.hex(),
                "members": members,
                "most": most,
                # Of at most 192 bits: more than a JSON number holds.
                "labels": hex(labels),
                "groups": [by_label[label] for label in sorted(by_label)],
            }
        )
    return {
        "about": "seed -> labels, four bits for the hospital at each index. g = min(most, n / 3); below 2 all "
        "labels are 0. Fisher-Yates over the members, ascending: for i = n - 1 .. 1, j = "
        "uint256(sha256(abi.encode(seed, i))) % (i + 1), swap; the k-th gets label k % g.",
        "cases": cases,
    }


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block of 32 bytes."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def masks() -> dict[str, Any]:
    cases = [
        _mask_case("three of a group", [4, 9, 17], 40),
        _mask_case("five, over two blocks", [1, 2, 3, 5, 8], 16_400),
    ]
    return {
        "about": "Context: canonical JSON, named by its SHA-256. Of a pair: secret = X25519, key = "
        "HKDF-SHA-256(secret, salt 'salus/mask/1', info = context digest || for the lower and then the "
        "higher place in `hospitals`: uint32 id big-endian, public key); stream = ChaCha20 of zeros, "
        "counter and nonce zero, as little-endian uint32; the lower adds it, the higher subtracts it. "
        "Update lane i of the hospital at place p is (i + 1) * (p + 1) * 2654435761 mod 2**32. Private "
        "key of hospital id: SHA-256 of 'mask key {id}'. `masked` has the first 12 lanes and "
        "`masked_sha256` is over all, little-endian. `low_order` are public keys that must be refused.",
        "low_order": LOW_ORDER,
        "cases": cases,
    }


# RFC 7748, section 6.1; Cremers and Jackson 2019: of order 1, 2, 4 and 8, and the same numbers plus p where that fits.
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
    # The highest bit is ignored.
    "00" * 31 + "80",
    "01" + "00" * 30 + "80",
    "ec" + "ff" * 31,
    "ed" + "ff" * 31,
    "ee" + "ff" * 31,
]


def _mask_case(name: str, hospitals: list[int], lanes: int) -> dict[str, Any]:
    private = [
        X25519PrivateKey.from_private_bytes(hashlib.sha256(f"mask key {each}".encode()).digest())
        for each in hospitals
    ]
    public = [key.public_key().public_bytes_raw() for key in private]
    total = sum(hospitals)
    shares = [Fraction(each, total) for each in hospitals]
    context = {
        "protocol": "salus/1",
        "chain_id": 1337,
        "genesis": "0x" + hashlib.sha256(b"genesis").hexdigest(),
        "contract": "0x" + hashlib.sha256(b"contract").hexdigest()[:40],
        "job": 7,
        "spec": hashlib.sha256(b"spec").hexdigest(),
        "round": 3,
        "attempt": 1,
        "base": hashlib.sha256(b"base").hexdigest(),
        "hospitals": hospitals,
        "weights": [f"{share.numerator}/{share.denominator}" for share in shares],
        "mask_keys": [key.hex() for key in public],
        "lanes": lanes,
    }
    # Of these types RFC 8785 writes what Python does with sorted keys.
    digest = hashlib.sha256(json.dumps(context, sort_keys=True, separators=(",", ":")).encode()).digest()
    updates = [
        [(i + 1) * (p + 1) * 2_654_435_761 % 2**32 for i in range(lanes)] for p in range(len(hospitals))
    ]
    pairs = []
    for low in range(len(hospitals)):
        for high in range(low + 1, len(hospitals)):
            named = [hospitals[place].to_bytes(4, "big") + public[place] for place in (low, high)]
            secret = private[low].exchange(X25519PublicKey.from_public_bytes(public[high]))
            key = hkdf(secret, b"salus/mask/1", digest + b"".join(named))
            keystream = Cipher(ChaCha20(key, bytes(16)), None).encryptor().update(bytes(4 * lanes))
            stream = struct.unpack(f"<{lanes}I", keystream)
            updates[low] = [(q + s) % 2**32 for q, s in zip(updates[low], stream, strict=True)]
            updates[high] = [(q - s) % 2**32 for q, s in zip(updates[high], stream, strict=True)]
            pairs.append(
                {"hospitals": [hospitals[low], hospitals[high]], "secret": secret.hex(), "key": key.hex()}
            )
    return {
        "name": name,
        "context": context,
        "digest": digest.hex(),
        "pairs": pairs,
        "masked": [[lane - 2**32 * (lane >= 2**31) for lane in update[:12]] for update in updates],
        "masked_sha256": [
            hashlib.sha256(struct.pack(f"<{lanes}I", *update)).hexdigest() for update in updates
        ],
    }


def documents() -> dict[str, str]:
    """File name -> content."""
    made = {
        "fixed_point": fixed_point(),
        "weights": weights(),
        "quantise": quantise(),
        "merge": merge(),
        "groups": groups(),
        "masks": masks(),
    }
    return {f"{name}.json": json.dumps(content, indent=1) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    VECTORS.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (VECTORS / name).write_text(text)
        print(f"tests/vectors/{name}: {len(text):,} bytes")
