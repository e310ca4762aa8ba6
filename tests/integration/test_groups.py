"""Six hospitals in two groups: drawn once a round from a later block's hash, masked inside, their median across."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from protocol.content import vectors
from protocol.devnet import Devnet
from protocol.learning import groups
from protocol.trace import trace
from tests.integration.stage import Actor, Stage


class Grouped(Stage):
    """Hospitals of their own, beside those of the other tests."""

    name = "grouped"

    def _actor(self, name: str) -> Actor:
        return super()._actor(f"{self.name}-{name}")


@pytest.fixture(scope="module")
def six(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grouped]:
    stage = Grouped(devnet, tmp_path_factory.mktemp("grouped"), size=6)
    try:
        yield stage
    finally:
        stage.kill(*stage.hospitals)
        stage.ipfs.close()


def test_a_false_merge_of_groups_is_proved_and_the_same_groups_are_merged_again(six: Grouped) -> None:
    liar = six.hospitals[1]
    job_id = six.propose_in_order(
        rounds=2, merge__groups=2, merge__rule="median", hospitals__min=5, hospitals__max=6
    )
    six.start_faulty(liar, "lie")
    six.start(*six.others(liar))
    try:
        record = six.finish(job_id, timeout=300)
    finally:
        six.stop(liar)
    false, true = record.round(1).merges
    assert false.hospital_id == liar.hospital_id and false.voided
    assert true.hospital_id != liar.hospital_id and not true.voided
    assert len(record.round(1).attempts) == 1, "the same updates, and the same groups"
    assert trace(six.chain, six.ipfs, six.model_id, record.ended.args["version"]).failures() == []


def test_groups_are_drawn_masked_inside_and_combined_by_their_median(six: Grouped) -> None:
    job_id = six.propose(rounds=2, merge__groups=2, merge__rule="median", hospitals__min=6, hospitals__max=6)
    six.start(*six.hospitals)
    record = six.finish(job_id, timeout=300)
    for number in (1, 2):
        attempt = record.round(number).attempts[1]
        assert attempt.labels == groups.draw(attempt.drawing.seed, range(6), 2)
        assert sorted(len(group) for group in record.groups(attempt)) == [3, 3]
        sums = [
            np.sum([vectors.get_vector(six.ipfs, each.ref) for each in group], axis=0, dtype=np.int32)
            for group in record.updates_by_group(attempt)
        ]
        # Under their masks updates are as large as int32 allows; inside each group these cancel.
        assert all(np.abs(total).max() < 2**28 for total in sums)
    draws = [record.round(number).attempts[1].drawing for number in (1, 2)]
    assert draws[0].seed != draws[1].seed
    assert trace(six.chain, six.ipfs, six.model_id, record.ended.args["version"]).failures() == []
