"""The committed vectors: none of the merges can be proved false, and each that is off by one can (invariant 5)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from claims import Merge, Vector
from conftest import MEAN, MEDIAN

RULES = {"mean": MEAN, "median": MEDIAN}
VECTORS = Path(__file__).parents[2] / "vectors"
CASES = json.loads((VECTORS / "merge.json").read_text())["cases"]
ROOTS = json.loads((VECTORS / "chunk_roots.json").read_text())["cases"]


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


class Committed:
    """A chunk, its path and its root as the vectors have them."""

    def __init__(self, case):
        self.lanes = range(case["lanes"])
        self.named = b"\x01" * 32, bytes.fromhex(case["root"][2:])
        self._chunk = bytes.fromhex(case["chunk"][2:]), [bytes.fromhex(each[2:]) for each in case["proof"]]

    def chunk(self, _index):
        """The only one that is known."""
        return self._chunk


@pytest.mark.parametrize("case", ROOTS, ids=lambda case: f"{case['lanes']} lanes")
def test_chunks_of_the_vectors_lead_to_their_roots(post, check, reverts, case):
    """They are judged; under a root that is off by one bit they are not."""
    vector = Committed(case)
    done = Merge(vector, {0: vector}, vector)
    post(done)
    # Doubled, these numbers are others; but the first of all is zero.
    assert check(done.claim(case["index"])) is (case["lanes"] > 1)

    other = Committed(case | {"root": hex(int(case["root"], 16) ^ 1)})
    post(done.but(updates={0: other}))
    with reverts("BadChunk", 0):
        check(done.but(updates={0: other}).claim(case["index"]))
