"""The committed vectors of merges: none of them can be proved false, and each that is off by one can (invariant 5)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from claims import Merge, Vector
from conftest import MEAN, MEDIAN

RULES = {"mean": MEAN, "median": MEDIAN}
CASES = json.loads((Path(__file__).parents[2] / "vectors" / "merge.json").read_text())["cases"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_merge_of_the_vectors_holds_to_the_last_bit(post, check, case, rule):
    members = [(label, update) for label, group in enumerate(case["groups"]) for update in group]
    updates = {index: Vector(update) for index, (_, update) in enumerate(members)}
    labels = sum(label << 4 * index for index, (label, _) in enumerate(members))
    done = Merge(Vector(case["state"]), updates, Vector(case[rule]), labels=labels)
    post(done, RULES[rule], case["server_step"])
    assert check(done.claim()) is False

    lie = list(case[rule])
    lie[-1] += 1 if lie[-1] < 0 else -1
    false = done.but(next=Vector(lie))
    post(false, RULES[rule], case["server_step"])
    assert check(false.claim()) is True
