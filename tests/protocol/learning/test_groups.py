"""The draw of groups, as the contract draws them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.learning.groups import draw, label_of, large, split

CASES = json.loads((Path(__file__).parents[3] / "tests" / "vectors" / "groups.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['members'])} by {case['most']}")
def test_a_draw_matches_the_vectors(case):
    labels = draw(bytes.fromhex(case["seed"][2:]), case["members"], case["most"])
    assert labels == int(case["labels"], 16)
    assert split(labels, case["members"]) == case["groups"]
    assert large(labels, case["members"]) == case["members"]
    for group in case["groups"]:
        assert len({label_of(labels, index) for index in group}) == 1
