"""Masks: they cancel in the sum to the bit, hide what they cover, and never cover two things."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import fields, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import LearningError, WrongLength
from protocol.learning.context import RoundContext
from protocol.learning.fixed_point import INT32_MAX, INT32_MIN
from protocol.learning.groups import draw, split
from protocol.learning.masks import BLOCK_LANES, JobKey, mask, pair_stream_key
from protocol.learning.merge import merge
from tests.protocol.learning.contexts import context, job_key

VECTORS = json.loads((Path(__file__).parents[3] / "tests" / "vectors" / "masks.json").read_text())


def any_lanes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(INT32_MIN, INT32_MAX, size=shape, dtype=np.int32, endpoint=True)


# the committed vectors


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_masks_match_the_vectors(case):
    lanes, hospitals = case["context"]["lanes"], tuple(case["context"]["hospitals"])
    made = context(hospitals, lanes)
    assert made.as_dict() == case["context"]
    assert made.digest().hex() == case["digest"]
    for pair in case["pairs"]:
        for one, other in (pair["hospitals"], pair["hospitals"][::-1]):
            key = job_key(one)
            assert key.agree(job_key(other).public).hex() == pair["secret"]
            assert pair_stream_key(key, made, one, other).hex() == pair["key"]
    for place, each in enumerate(hospitals):
        update = ((np.arange(lanes, dtype=np.uint64) + 1) * (place + 1) * 2_654_435_761).astype(np.uint32)
        masked = mask(update.view(np.int32), made, each, job_key(each))
        assert masked[:12].tolist() == case["masked"][place]
        assert sha256(masked.astype("<i4").tobytes()).hexdigest() == case["masked_sha256"][place]


# they cancel


@settings(max_examples=60)
@given(
    st.sets(st.integers(1, 2**32 - 1), min_size=3, max_size=18),
    st.integers(1, 16),
    st.integers(1, 400),
    st.sampled_from(["mean", "median"]),
    st.integers(0, 2**32 - 1),
)
def test_a_masked_merge_is_the_unmasked_one_to_the_bit(ids, most, lanes, rule, seed):
    """Whoever takes part, in whatever groups, honest or not."""
    rng, hospitals = np.random.default_rng(seed), sorted(ids)
    labels = draw(sha256(bytes([most])).digest(), range(len(hospitals)), most)
    plain, masked = [], []
    for group in split(labels, range(len(hospitals))):
        members = tuple(hospitals[index] for index in group)
        updates = any_lanes(rng, len(members), lanes)
        made = context(members, lanes)
        plain.append(list(updates))
        masked.append([mask(q, made, each, job_key(each)) for q, each in zip(updates, members, strict=True)])
        rng.shuffle(masked[-1])
    state, step = any_lanes(rng, lanes), int(rng.integers(0, 2**32))
    assert np.array_equal(merge(state, masked, step, rule), merge(state, plain, step, rule))


def test_one_missing_update_leaves_noise():
    """So a merge of all but one tells nothing: not even those who are in it."""
    hospitals = (1, 2, 3, 4)
    made, update = context(hospitals, LONG), np.ones(LONG, np.int32)
    masked = [mask(update, made, each, job_key(each)) for each in hospitals]
    assert merge(np.zeros(LONG, np.int32), [masked]).tolist() == [4] * LONG
    assert irregularities(merge(np.zeros(LONG, np.int32), [masked[:3]])) == []


@pytest.mark.parametrize("lanes", [1, BLOCK_LANES - 1, BLOCK_LANES, BLOCK_LANES + 1, 3 * BLOCK_LANES])
def test_blocks_are_one_stream(lanes):
    hospitals = (3, 5, 9)
    made, update = context(hospitals, lanes), np.arange(lanes, dtype=np.int32)
    expected = update.view(np.uint32).copy()
    for other, sign in ((3, -1), (9, 1)):
        key = pair_stream_key(job_key(5), made, 5, other)
        stream = Cipher(ChaCha20(key, bytes(16)), None).encryptor().update(bytes(4 * lanes))
        expected += np.uint32(sign % 2**32) * np.frombuffer(stream, "<u4")
    assert np.array_equal(mask(update, made, 5, job_key(5)).view(np.uint32), expected)


# they hide

LONG = 1 << 17


def score(counts: np.ndarray) -> float:
    """Chi-square against equal counts, as standard deviations from what is expected."""
    freedom, expected = len(counts) - 1, counts.sum() / len(counts)
    return (((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)


def irregularities(vector: np.ndarray) -> list[str]:
    """What tells int32[n] from uniform randomness: tests that fail by five standard deviations or more."""
    lanes = vector.view(np.uint32)
    raw, n = lanes.astype("<u4").view(np.uint8).reshape(-1, 4), len(lanes)
    scores = {"bytes": score(np.bincount(raw.ravel(), minlength=256))}
    for place in range(4):
        scores[f"byte {place}"] = score(np.bincount(raw[:, place], minlength=256))
    scores["high halves of lanes"] = score(np.bincount(lanes >> 20, minlength=4096))
    scores["low halves of lanes"] = score(np.bincount(lanes & 4095, minlength=4096))
    pairs = (lanes[:-1] >> 26) * 64 + (lanes[1:] >> 26)
    scores["neighbouring lanes"] = score(np.bincount(pairs, minlength=4096))
    for bit in range(32):
        bits = (lanes >> bit & 1).astype(np.int64)
        scores[f"bit {bit}"] = (2 * bits.sum() - n) / np.sqrt(n)
        # Wald and Wolfowitz: changes from one lane to the next are fair coins.
        scores[f"runs of bit {bit}"] = (2 * np.abs(np.diff(bits)).sum() - (n - 1)) / np.sqrt(n - 1)
    centred = (lanes.astype(np.float64) - (2**32 - 1) / 2) / (2**32 / np.sqrt(12))
    for lag in (*range(1, 33), 256, BLOCK_LANES):
        scores[f"autocorrelation at {lag}"] = (centred[:-lag] @ centred[lag:]) / np.sqrt(n - lag)
    return [f"{name}: {value:.1f}" for name, value in scores.items() if not abs(value) < 5]


def an_update(name: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    return {
        "zeros": np.zeros(LONG, np.int32),
        "all the same": np.full(LONG, -123_456, np.int32),
        "small numbers": np.rint(rng.normal(0, 40_000, LONG)).astype(np.int32),
        "a ramp": np.arange(LONG, dtype=np.int32),
        "extremes": np.where(np.arange(LONG) % 2, INT32_MAX, INT32_MIN).astype(np.int32),
    }[name]


UPDATES = ["zeros", "all the same", "small numbers", "a ramp", "extremes"]


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("hospital_id", [4, 9, 17])
def test_a_masked_update_is_uniform(name, hospital_id):
    masked = mask(an_update(name), context(lanes=LONG), hospital_id, job_key(hospital_id))
    assert irregularities(masked) == []


@pytest.mark.parametrize("name", UPDATES)
def test_an_unmasked_update_is_not(name):
    assert irregularities(an_update(name))


def test_a_stream_that_covers_twice_is_noticed():
    """Were a pair's stream added twice, the lowest bit would lie open."""
    stream = mask(an_update("zeros"), context(lanes=LONG), 4, job_key(4)).view(np.uint32)
    assert any(each.startswith("bit 0") for each in irregularities((2 * stream).view(np.int32)))


def test_a_masked_update_does_not_follow_the_update():
    update = an_update("small numbers")
    masked = mask(update, context(lanes=LONG), 9, job_key(9))
    assert abs(correlation(update, masked)) < 5


# one stream covers one thing

CHANGES = {
    "chain_id": 1,
    "genesis": "0x" + "11" * 32,
    "contract": "0x" + "22" * 20,
    "job_id": 8,
    "round": 4,
    "attempt": 2,
    "base": bytes(32),
    "spec": bytes(32),
    "hospitals": (4, 9, 18),
    "weights": ((1, 3), (1, 3), (1, 3)),
    "mask_keys": (job_key(4).public, job_key(9).public, job_key(18).public),
    "lanes": LONG + 1,
}


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """In standard deviations of what independent vectors show."""
    return float(np.corrcoef(a, b)[0, 1] * np.sqrt(len(a)))


def stream_between_the_first_two(made) -> np.ndarray:
    key = pair_stream_key(job_key(4), made, 4, 9)
    raw = Cipher(ChaCha20(key, bytes(16)), None).encryptor().update(bytes(4 * LONG))
    return np.frombuffer(raw, "<u4").view(np.int32)


def test_every_field_of_a_context_is_tried():
    assert set(CHANGES) == {field.name for field in fields(RoundContext)}


@pytest.mark.parametrize("field", CHANGES)
def test_contexts_that_differ_in_one_field_give_unrelated_streams(field):
    """Invariant 11. The pair and its shared secret are the same: only the context tells the streams apart."""
    one = context(lanes=LONG)
    other = replace(one, **{field: CHANGES[field]})
    assert one.digest() != other.digest()
    first, second = stream_between_the_first_two(one), stream_between_the_first_two(other)
    assert abs(correlation(first, second)) < 5
    assert irregularities((first.view(np.uint32) - second.view(np.uint32)).view(np.int32)) == []
    assert irregularities((first.view(np.uint32) + second.view(np.uint32)).view(np.int32)) == []


def test_pairs_of_one_context_have_unrelated_streams():
    made = context((4, 9, 17, 21))
    keys = {pair_stream_key(job_key(a), made, a, b) for a, b in combinations(made.hospitals, 2)}
    assert len(keys) == 6


def test_a_copied_public_key_gives_no_stream_twice():
    """Whoever registers another's public key cannot mask; but those who mask towards both must stay covered."""
    for place in range(3):
        ids = [4, 9, 17]
        copied = [job_key(each).public for each in ids]
        copied[place] = job_key(ids[place - 1]).public
        made = context(mask_keys=tuple(copied))
        [third] = set(ids) - {ids[place], ids[place - 1]}
        streams = {pair_stream_key(job_key(third), made, third, other) for other in ids if other != third}
        assert len(streams) == 2


def test_the_case_of_an_address_changes_nothing():
    made = context()
    assert context(contract="0x" + made.contract[2:].upper(), genesis=made.genesis.upper()).digest() == (
        made.digest()
    )


def test_without_keys_and_with_them_are_two_contexts():
    assert context(mask_keys=()).digest() != context().digest()


# keys


def test_keys_are_fresh_and_come_back_from_their_bytes():
    one, other = JobKey.new(), JobKey.new()
    assert one.public != other.public
    assert JobKey.from_bytes(one.to_bytes()).public == one.public
    assert one.agree(other.public) == other.agree(one.public)


def test_a_key_is_not_printed():
    key = job_key(4)
    assert key.to_bytes().hex() not in repr(key)
    assert repr(key.to_bytes()) not in f"{key!r} {key}"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_private_key_of_another_length_is_refused(length):
    with pytest.raises(LearningError, match="32 bytes"):
        JobKey.from_bytes(bytes(length))


# they are refused


@pytest.mark.parametrize("public", VECTORS["low_order"])
def test_a_key_of_low_order_is_refused(public):
    with pytest.raises(LearningError, match="Nothing secret"):
        job_key(4).agree(bytes.fromhex(public))
    weak = context(mask_keys=(job_key(4).public, bytes.fromhex(public), job_key(17).public))
    with pytest.raises(LearningError, match=public):
        mask(np.zeros(40, np.int32), weak, 4, job_key(4))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_public_key_of_another_length_is_refused(length):
    with pytest.raises(LearningError, match="Nothing secret"):
        job_key(4).agree(bytes(length))


def test_only_the_registered_key_masks():
    with pytest.raises(LearningError, match="not the mask key that hospital 4 registered"):
        mask(np.zeros(40, np.int32), context(), 4, job_key(9))
    with pytest.raises(LearningError, match="not the mask key"):
        mask(np.zeros(40, np.int32), context(mask_keys=()), 4, job_key(4))


def test_only_a_member_masks():
    with pytest.raises(LearningError, match="Hospital 5 is not in the group"):
        mask(np.zeros(40, np.int32), context(), 5, job_key(5))
    with pytest.raises(LearningError, match="Hospital 5 is not in the group"):
        pair_stream_key(job_key(4), context(), 4, 5)
    with pytest.raises(LearningError, match="no mask with itself"):
        pair_stream_key(job_key(4), context(), 4, 4)


@pytest.mark.parametrize("hospitals", [(4,), (4, 9)])
def test_fewer_than_three_cannot_hide(hospitals):
    with pytest.raises(LearningError, match="hide nothing"):
        mask(np.zeros(40, np.int32), context(hospitals), 4, job_key(4))


@pytest.mark.parametrize("lanes", [0, 39, 41])
def test_another_length_is_refused(lanes):
    with pytest.raises(WrongLength, match="The update"):
        mask(np.zeros(lanes, np.int32), context(), 4, job_key(4))
    with pytest.raises(WrongLength, match="The masked update"):
        mask(np.zeros(40, np.int32), context(), 4, job_key(4), out=np.zeros(lanes, np.int32))


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.float32])
def test_another_dtype_is_refused(dtype):
    with pytest.raises(LearningError, match="must be int32"):
        mask(np.zeros(40, dtype), context(), 4, job_key(4))


# memory


def test_an_update_is_left_alone_or_masked_in_place():
    update, made = np.arange(40, dtype=np.int32), context()
    update.flags.writeable = False
    masked = mask(update, made, 4, job_key(4))
    assert update.tolist() == list(range(40))
    own = update.copy()
    assert mask(own, made, 4, job_key(4), out=own) is own
    assert np.array_equal(own, masked)


def test_masking_in_place_needs_next_to_no_memory():
    hospitals, lanes = tuple(range(1, 19)), 1_000_000
    made, update = context(hospitals, lanes), np.zeros(lanes, np.int32)
    mask(update, made, 2, job_key(2), out=update)
    tracemalloc.start()
    try:
        mask(update, made, 2, job_key(2), out=update)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.1 * update.nbytes


# contexts


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hospitals": ()}, "not a group"),
        ({"hospitals": (4, 9, 4)}, "not a group"),
        ({"weights": ((1, 1),)}, "1 weights"),
        ({"mask_keys": (bytes(32),) * 2}, "2 mask keys"),
        ({"mask_keys": (bytes(31),) * 3}, "32 bytes"),
        ({"base": bytes(20)}, "32 bytes"),
        ({"spec": bytes(20)}, "32 bytes"),
        ({"lanes": 0}, "0 numbers"),
    ],
)
def test_a_context_whose_fields_do_not_fit_is_refused(change, reason):
    with pytest.raises(LearningError, match=reason):
        context(**change)


def test_a_hospital_has_a_place_in_its_group():
    assert [context().index_of(each) for each in (4, 9, 17)] == [0, 1, 2]
    with pytest.raises(LearningError, match="Hospital 1 "):
        context().index_of(1)
