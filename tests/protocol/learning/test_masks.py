"""Masks: they cancel in the sum to the bit, hide what they cover, and never cover two things."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import LearningError
from protocol.learning.fixed_point import INT32_MAX, INT32_MIN
from protocol.learning.groups import draw, split
from protocol.learning.masks import mask, pair_stream_key
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


# they are refused


@pytest.mark.parametrize("public", VECTORS["low_order"])
def test_a_key_of_low_order_is_refused(public):
    with pytest.raises(LearningError, match="Nothing secret"):
        job_key(4).agree(bytes.fromhex(public))
    weak = context(mask_keys=(job_key(4).public, bytes.fromhex(public), job_key(17).public))
    with pytest.raises(LearningError, match=public):
        mask(np.zeros(40, np.int32), weak, 4, job_key(4))
