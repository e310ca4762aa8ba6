"""What a hospital finds true and false: merges computed again, and whom it doubts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from protocol.chain.challenges import Challenges
from protocol.chain.enums import JobStatus
from protocol.chain.events import Event
from protocol.chain.jobs import Draw, Look, Participant, Round
from protocol.content import merkle, vectors
from protocol.content.spool import Spool
from protocol.content.vectors import VectorRef
from protocol.errors import ContentError, NodeError, StillComing
from protocol.learning.merge import merge
from protocol.node.checks import CHECKED_AGAIN, Checks
from protocol.node.content import JobContent
from protocol.record import Attempt, JobRecord, Merge, Update
from tests.protocol.node.daemon import Daemon
from tests.protocol.node.test_steps import PHASES, a_job

LANES, ME = 600, 11
NOW = 2_000


def event(block: int) -> Event:
    return Event("Merged", "TrainingJobs", {}, block, 0, f"0x{block:02x}")


def a_vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1_000, 1_000, LANES, dtype=np.int32)


@dataclass
class Scene:
    """Hospitals 11, 12 and 13 in a job; ``daemon`` holds what they publish."""

    folder: Path

    def __post_init__(self) -> None:
        self.daemon, self.record = Daemon(), JobRecord(1)
        for place, each in enumerate((11, 12, 13)):
            self.record.participants[each] = Participant(True, place, each, each, 1, 100, 50)
        self.states = [a_vector(0)]
        self.base = vectors.put_vector(self.daemon, self.states[0])
        self.now = NOW
        self.checks = self.start()

    def start(self) -> Checks:
        """The checks of hospital 11, as its node has them when it starts."""
        chain = SimpleNamespace(timestamp=lambda block: block * 10, now=lambda: self.now)
        history = SimpleNamespace(record=self.record, watch=SimpleNamespace(chain=chain), job_id=1)
        content = JobContent(
            self.daemon, Spool(self.folder / str(len(list(self.folder.iterdir())))), LANES, 1
        )
        spec = SimpleNamespace(merge=SimpleNamespace(server_step=1 << 16, rule="mean"))
        checks = Checks(history, content, spec, ME)
        checks._base = self.base
        return checks

    def submit(self, number: int, *hospitals: int) -> list[np.ndarray]:
        attempt = Attempt(0b111, event(number))
        self.record.round(number).attempts[1] = attempt
        updates = [a_vector(100 * number + each) for each in hospitals]
        for each, update in zip(hospitals, updates, strict=True):
            attempt.updates.append(Update(each, vectors.put_vector(self.daemon, update), 0, event(number)))
        return updates

    def merge(self, number: int, altered: int = 0, merger: int = 12) -> None:
        """Posts the merge of a round, with ``altered`` added to its lane 300."""
        state = merge(self.states[-1], [self.submit(number, 11, 12, 13)])
        state[300] += altered
        self.states.append(state)
        posted = Merge(
            merger, 1, vectors.put_vector(self.daemon, state), bytes([number]) * 32, event(number), {merger}
        )
        self.record.round(number).merges.append(posted)

    def look(self, submitted: int) -> Look:
        job = a_job(round=1, status=JobStatus.RUNNING)
        return Look(job, Round(0b111, submitted, 0, 0, 0, 1, 0, NOW), 0, 0b111, Draw.empty())

    def doubtful(self, submitted: int = 0b111) -> int:
        return self.checks.doubtful(self.look(submitted), self.now)

    def collect(self) -> None:
        updates = self.record.round(1).attempts[1].updates
        while not self.checks.content.collect([each.ref for each in updates], self.now):
            pass

    def hide(self, number: int, hospital_id: int) -> bytes:
        """Nobody serves the hospital's update any more. Returns its digest."""
        updates = self.record.round(number).attempts[1].updates
        hidden = next(each.ref.cid for each in updates if each.hospital_id == hospital_id)
        self.daemon.held.pop(hidden)
        return hidden


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# -- merges ----------------------------------------------------------------------------------------------------------


def test_an_honest_merge_holds(scene: Scene) -> None:
    scene.merge(1)
    assert scene.checks.holds(1) and scene.checks.false_merge() is None


def test_one_altered_number_is_found_and_its_chunk_claimed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.merge(1, altered=1)
    assert not scene.checks.holds(1)
    false = scene.checks.false_merge()
    assert (false.round, false.posted_at, false.provable) == (1, 10, True)
    monkeypatch.setattr(Challenges, "check", lambda *_: True)
    claim = scene.checks.claim(1)
    posted = scene.record.round(1).merge.state
    assert claim.chunk_index == 1
    assert merkle.verify_chunk(posted.root, LANES, 1, claim.claimed.lanes, claim.claimed.path)
    assert [part.index for part in claim.parts] == [0, 1, 2]


def test_a_false_state_that_is_being_fetched_may_still_be_proved(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.content.unhurried.WAIT_SECONDS", 0.02)
    scene.merge(1, altered=1)
    posted = scene.record.round(1).merge.state
    scene.daemon.search(posted.cid)
    assert not scene.checks.holds(1)
    false = scene.checks.false_merge()
    assert (false.provable, false.coming) == (False, True)
    scene.daemon.held.pop(posted.cid)
    scene.daemon.found(posted.cid)
    deadline = time.monotonic() + 60
    while (false := scene.checks.false_merge()).coming:
        assert time.monotonic() < deadline
    assert (false.provable, false.coming) == (False, False)


def test_where_the_chain_computes_what_was_posted_nothing_is_challenged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that computes wrongly would lose its hospital's bond."""
    scene.merge(1, altered=1)
    monkeypatch.setattr(Challenges, "check", lambda *_: False)
    with pytest.raises(NodeError, match="computes another merge"):
        scene.checks.claim(1)


def test_what_was_found_false_stays_in_sight_whatever_is_built_on_it(scene: Scene) -> None:
    scene.merge(1, altered=1)
    assert not scene.checks.holds(1)
    scene.merge(2)
    scene.merge(3, altered=1)
    assert scene.checks.holds(2) and not scene.checks.holds(3)
    assert scene.checks.false_merge().round == 1
    scene.record.round(1).merges[-1].void = event(9)
    assert scene.checks.false_merge().round == 3


def test_after_a_restart_what_was_merged_meanwhile_is_checked_the_newest_first(scene: Scene) -> None:
    for number in range(1, CHECKED_AGAIN + 4):
        scene.merge(number, altered=number in (2, 5, CHECKED_AGAIN + 3))
    checks, found = scene.start(), []
    for _ in range(2 * CHECKED_AGAIN):
        checks.check_older(CHECKED_AGAIN + 4)
        found.append(false.round if (false := checks.false_merge()) else 0)
    assert found[0] == CHECKED_AGAIN + 3 and found[-1] == 5, "round 2 lies further back"


def test_a_false_merge_whose_bytes_cannot_be_had_cannot_be_proved(scene: Scene) -> None:
    scene.merge(1, altered=1)
    scene.daemon.held.pop(scene.record.round(1).merge.state.cid)
    assert not scene.checks.holds(1)
    assert not scene.checks.false_merge().provable


def test_a_merge_whose_updates_nobody_serves_is_not_believed_for_ever(scene: Scene) -> None:
    """Else a merger could hide an update, and silence would make its merge final."""
    scene.merge(1)
    scene.hide(1, 12)
    with pytest.raises(ContentError):
        scene.checks.holds(1)
    assert scene.checks.uncheckable(1, 20, scene.now + 19) is None
    scene.checks.uncheckable(1, 20, scene.now + 20)
    false = scene.checks.uncheckable(1, 20, scene.now + 21)
    assert (false.round, false.provable) == (1, False)


def test_a_merge_whose_updates_are_on_their_way_again_is_not_given_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could not be had once; while they are looked for again, nobody can say that it is false."""
    monkeypatch.setattr("protocol.content.unhurried.WAIT_SECONDS", 0.02)
    monkeypatch.setattr("protocol.content.unhurried.STALE_SECONDS", 0.0)
    scene.merge(1)
    hidden = scene.hide(1, 12)
    with pytest.raises(ContentError):
        scene.checks.holds(1)
    scene.checks.uncheckable(1, 20, scene.now + 20)
    assert scene.checks.uncheckable(1, 20, scene.now + 21)
    scene.daemon.search(hidden)
    with pytest.raises(StillComing):
        scene.checks.holds(1)
    assert scene.checks.uncheckable(1, 20, scene.now + 22) is None
    scene.daemon.found(hidden)


def test_whoever_can_get_nothing_blames_itself(scene: Scene) -> None:
    scene.merge(1)
    for each in (11, 12, 13):
        scene.hide(1, each)
    with pytest.raises(ContentError):
        scene.checks.holds(1)
    assert scene.checks.uncheckable(1, 20, scene.now + 500) is None


# -- doubts ----------------------------------------------------------------------------------------------------------


def mismatch(scene: Scene, place: int) -> None:
    updates = scene.record.round(1).attempts[1].updates
    other = updates[place - 1].ref
    updates[place] = replace(updates[place], ref=VectorRef(updates[place].ref.cid, other.root))


def test_an_update_under_another_root_is_doubted_at_once(scene: Scene) -> None:
    scene.submit(1, 11, 12, 13)
    mismatch(scene, 2)
    scene.collect()
    assert scene.doubtful() == 0b100


def test_an_update_that_cannot_be_had_is_doubted_after_half_of_the_phase(scene: Scene) -> None:
    scene.submit(1, 11, 12, 13)
    scene.hide(1, 13)
    scene.collect()
    scene.now += PHASES.merge // 2 - 1
    assert scene.doubtful() == 0
    scene.now += 1
    assert scene.doubtful() == 0b100


def test_one_that_came_in_the_meantime_is_not_doubted(scene: Scene) -> None:
    updates = scene.submit(1, 11, 12, 13)
    scene.hide(1, 13)
    scene.collect()
    scene.now += PHASES.merge
    vectors.put_vector(scene.daemon, updates[2])
    assert scene.doubtful() == 0


def test_while_updates_are_missing_half_of_their_phase_counts(scene: Scene) -> None:
    scene.submit(1, 11, 12)
    scene.submit(1, 11, 12)
    scene.hide(1, 12)
    scene.collect()
    scene.now += PHASES.submit
    assert scene.doubtful(submitted=0b011) == 0, "no other update is here: the fault may be"


def test_nobody_is_doubted_twice_and_nobody_doubts_itself(scene: Scene) -> None:
    scene.submit(1, 11, 12, 13)
    mismatch(scene, 2)
    scene.collect()
    scene.record.round(1).attempts[1].doubts[13] = {ME}
    assert scene.doubtful() == 0
    scene.hide(1, 11)
    scene.now += PHASES.merge
    assert scene.doubtful() == 0
