"""The hospital's daemon between its jobs: what fails in one stays in it, and what a job leaves behind."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from protocol.chain.enums import JobStatus
from protocol.content import vectors
from protocol.content.spool import Spool
from protocol.errors import (
    ChainError,
    ChainUnreachable,
    ContentUnavailable,
    NodeError,
    NotFinite,
    SalusError,
    StillComing,
    VaultError,
)
from protocol.node import node as node_module
from protocol.node.node import JOURNAL, SPOOL, Node
from protocol.node.policy import EXAMPLE
from protocol.node.retention import Retained
from protocol.node.steps import Action, Step
from tests.protocol.node.daemon import Daemon

JOB = 7
UNTIL = 2_000


class Quiet(Node):
    """A node without chain and home: what it is asked to do is done by hand."""

    def __init__(self, home: Path) -> None:
        self.home, self.ipfs, self.hospital_id, self.policy, self.vault = home, Daemon(), 1, EXAMPLE, None
        self.chain = SimpleNamespace(now=lambda: 1_000)
        self.jobs = SimpleNamespace(participant=lambda *_: SimpleNamespace(exists=True))
        self.workers, self._ended, self._holding_keys = {}, set(), {JOB}
        self._retained, self._keeping = {}, {}
        self._again_at, self._tries, self.refusals, self.steps = {}, Counter(), {}, Counter()
        self._search_at = 0.0
        self.journal = SimpleNamespace(forget=lambda _place: True)
        self._specs = SimpleNamespace(fetch=lambda *_: b"")

    def _say(self, *_: object) -> None:
        pass


@pytest.fixture
def node(tmp_path: Path) -> Quiet:
    return Quiet(tmp_path)


@pytest.fixture
def ended(node: Quiet, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A job whose end is confirmed, with one vector; its spool holds that."""
    vector = np.arange(4, dtype=np.int32)
    record = SimpleNamespace(ended=object(), apply=lambda _events: None, vectors=lambda: [job.ref])
    job = SimpleNamespace(
        status=JobStatus.FINISHED, spec_digest=bytes(32), record=record, ref=vectors.reference(vector)
    )
    place = SimpleNamespace(folder=lambda home: home / str(JOB))
    Spool(place.folder(node.home / SPOOL)).put(vector)
    monkeypatch.setattr(node_module, "JobRecord", lambda _job_id: record)
    monkeypatch.setattr(node_module, "events", lambda *_, **__: [])
    monkeypatch.setattr(node_module.JobPlace, "on", lambda *_: place)
    monkeypatch.setattr(node_module.JobSpec, "parse", lambda _bytes: SPEC)
    monkeypatch.setattr(node_module.zoo, "layout", lambda *_: SimpleNamespace(lanes=4))
    return job


SPEC = SimpleNamespace(model=None, state=None, retain_until=UNTIL)


def worker(outcome: Step | SalusError) -> Any:
    def tick() -> Step:
        if isinstance(outcome, SalusError):
            raise outcome
        return outcome

    return SimpleNamespace(job_id=JOB, tick=tick)


@pytest.mark.parametrize(
    "error", [NotFinite("diverged"), NodeError("no"), VaultError("altered"), ChainError("lost its turn")]
)
def test_a_job_that_fails_is_tried_again_and_never_left(node: Quiet, error: SalusError) -> None:
    node.workers[JOB] = worker(error)
    assert not node._work(node.workers[JOB])
    assert JOB in node.workers and JOB not in node._ended and JOB in node._again_at


def test_what_is_still_coming_is_no_line_in_the_log(node: Quiet, caplog: pytest.LogCaptureFixture) -> None:
    """Content that takes long is asked for every two seconds; that it could not be had is said, once."""
    for outcome in (
        ContentUnavailable("Nobody serves it."),
        StillComing("Being fetched."),
        ContentUnavailable("Nobody serves it."),
    ):
        node._work(worker(outcome))
    assert [record.message for record in caplog.records] == [f"job {JOB}: Nobody serves it."]


def test_a_chain_that_is_gone_is_the_nodes_trouble_not_the_jobs(node: Quiet) -> None:
    with pytest.raises(ChainUnreachable):
        node._work(worker(ChainUnreachable("nobody there")))


def test_what_a_job_owes_is_pinned_from_disk_before_it_is_cleared(
    node: Quiet, ended: SimpleNamespace
) -> None:
    node._retain(JOB, ended)
    assert node.ipfs.pinned == {ended.ref.cid}
    assert not (node.home / SPOOL / str(JOB)).exists()
    assert JOB in node._ended and JOB not in node._holding_keys
    assert node._retained[JOB] == Retained(UNTIL, frozenset({ended.ref.cid}))


def test_what_nobody_serves_is_tried_again_but_not_for_ever(node: Quiet, ended: SimpleNamespace) -> None:
    Spool(node.home / SPOOL / str(JOB)).keep(())
    with pytest.raises(ContentUnavailable, match="1 vectors"):
        node._retain(JOB, ended)
    assert JOB not in node._ended and JOB not in node._holding_keys, "the mask key is gone at once"
    node._tries[JOB] = node_module.KEEP_TRIES
    node._retain(JOB, ended)
    assert JOB in node._ended


def test_nothing_is_forgotten_before_the_end_is_confirmed(node: Quiet, ended: SimpleNamespace) -> None:
    """Also where the newest blocks know of no enrolment: they may yet go."""
    node.jobs.participant = lambda *_: SimpleNamespace(exists=False)
    (node.home / JOURNAL / str(JOB)).mkdir(parents=True)
    ended.record.ended = None
    node._retain(JOB, ended)
    assert JOB in node._holding_keys and JOB not in node._ended


def test_pins_are_released_while_other_jobs_go_on(node: Quiet) -> None:
    old, shared = vectors.reference(np.zeros(4, np.int32)), vectors.reference(np.ones(4, np.int32))
    node.ipfs.pinned = {old.cid, shared.cid}
    node._retained[1] = Retained(999, frozenset(node.ipfs.pinned))
    node.workers[JOB] = SimpleNamespace(record=SimpleNamespace(vectors=lambda: [shared]))
    node.ipfs.unpin = node.ipfs.pinned.discard
    node._release_pins()
    assert node.ipfs.pinned == {shared.cid}


def test_no_more_jobs_at_once_than_the_policy_says(node: Quiet) -> None:
    node.jobs.participant = lambda *_: SimpleNamespace(exists=False)
    node.workers = dict.fromkeys(range(EXAMPLE.max_jobs))
    with pytest.raises(NodeError, match="policy allows no more at once"):
        node._join(JOB, SimpleNamespace(status=JobStatus.ENROLLING))


def test_a_node_that_ends_when_idle_leaves_no_mask_key_and_no_pin_untried(
    node: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks on until it has seen that the end of each job is confirmed, forgotten the key, and tried once to keep
    what it owes."""
    turns: list[int] = []

    def turn() -> bool:
        turns.append(len(turns))
        node.workers = {JOB: worker(Step(Action.WAIT, ""))} if len(turns) == 1 else {}
        if len(turns) == 3:
            node._holding_keys.clear()
            node._keeping[JOB] = object()
        if len(turns) == 4:
            node._tries[JOB] = 1
        return False

    node._lock = SimpleNamespace(acquire=lambda **_: None, release=lambda: None)
    node.keys = None
    monkeypatch.setattr(node, "policy", SimpleNamespace(bound_memory=lambda: None))
    monkeypatch.setattr(node, "_turn", turn)
    monkeypatch.setattr(node_module, "Joining", lambda *_: None)
    node.run(threading.Event(), until_idle=True)
    assert len(turns) == 4
