"""A job's history from its events: attempts, voids and what stands."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.chain.events import Event
from protocol.errors import ChainError
from protocol.record import JobRecord

A, B, C = 7, 8, 9


def digest(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


def vector(text: str) -> dict[str, bytes]:
    return {"cid": digest(text), "root": digest(text + "/root")}


class History:
    """Events as the chain would emit them, one after another."""

    def __init__(self) -> None:
        self.record = JobRecord(1)
        self._count = 0
        for index, hospital_id in enumerate((A, B, C)):
            participant = {
                "exists": True, "index": index, "consentId": index + 1, "datasetId": index + 1,
                "datasetVersion": 1, "trainRecords": 10, "heldOutRecords": 5,
            }  # fmt: skip
            key = bytes([hospital_id]) * 32
            self.on("Enrolled", hospitalId=hospital_id, participant=participant, maskKey=key)

    def on(self, name: str, **args: Any) -> None:
        self._count += 1
        self.record.apply([Event(name, "TrainingJobs", args, self._count, 0, f"0x{self._count:064x}")])

    def submit(self, hospital_id: int, text: str, attempt: int = 1, round: int = 1) -> None:
        self.on(
            "UpdateSubmitted",
            round=round, attempt=attempt, hospitalId=hospital_id, update=vector(text), epsilonTotalMicro=0,
        )  # fmt: skip

    def merge(self, hospital_id: int, text: str, attempt: int = 1, round: int = 1) -> None:
        self.on(
            "Merged",
            round=round, attempt=attempt, hospitalId=hospital_id, state=vector(text), mergeDigest=digest("m" + text),
        )  # fmt: skip


def test_bits_are_the_order_of_enrolment() -> None:
    record = History().record
    assert record.hospital_ids == [A, B, C]
    assert record.members(0b101) == [A, C]


def test_the_updates_that_count_are_those_of_the_merged_attempt() -> None:
    history = History()
    history.on("AttemptOpened", round=1, attempt=1, participants=0b111)
    history.submit(A, "a1")
    history.on("AttemptOpened", round=1, attempt=2, participants=0b011)
    history.submit(A, "a2", attempt=2)
    history.submit(B, "b2", attempt=2)
    assert history.record.round(1).merged_updates == []
    history.merge(B, "state", attempt=2)
    merged = history.record.round(1).merged_updates
    assert [(update.hospital_id, update.ref.cid) for update in merged] == [
        (A, digest("a2")),
        (B, digest("b2")),
    ]


def test_a_voided_merge_does_not_stand_and_the_next_one_does() -> None:
    history = History()
    history.on("AttemptOpened", round=1, attempt=1, participants=0b111)
    for hospital_id in (A, B, C):
        history.submit(hospital_id, f"u{hospital_id}")
    history.merge(A, "lie")
    history.on("Rejected", round=1, hospitalId=B, mergeDigest=digest("mlie"))
    history.on("MergeVoided", round=1, mergeDigest=digest("mlie"))
    rounds = history.record.round(1)
    assert rounds.merge is None
    history.merge(B, "true")
    history.on("Attested", round=1, hospitalId=C, mergeDigest=digest("mtrue"))
    assert rounds.merge is not None
    assert rounds.merge.state.cid == digest("true")
    assert rounds.merge.attested == {B, C}
    assert rounds.merges[0].rejected == {B}


def test_a_void_forgets_reports_that_were_made_of_the_false_state() -> None:
    history = History()
    history.on("AttemptOpened", round=1, attempt=1, participants=0b111)
    history.merge(A, "lie")
    history.on("Reported", hospitalId=B, correct=1, total=5, metricsDigest=digest("m"))
    assert set(history.record.reports) == {B}
    history.on("MergeVoided", round=1, mergeDigest=digest("mlie"))
    assert history.record.reports == {}


def test_a_void_of_an_older_round_takes_what_was_built_on_it_along_and_keeps_the_history() -> None:
    history = History()
    for number in (1, 2):
        history.on("AttemptOpened", round=number, attempt=1, participants=0b111)
        for hospital_id in (A, B, C):
            history.submit(hospital_id, f"u{number}{hospital_id}", round=number)
        history.merge(A, f"s{number}", round=number)
    history.on("AttemptOpened", round=3, attempt=1, participants=0b111)
    history.submit(A, "u37", round=3)
    assert history.record.open_round == 3
    history.on("MergeVoided", round=1, mergeDigest=digest("ms1"))
    first, second, third = (history.record.round(number) for number in (1, 2, 3))
    assert first.merge is None and second.merge is None
    assert first.merges[0].voided and first.merges[0].void is second.merges[0].void
    assert history.record.open_round == 1
    assert len(third.attempts[1].updates) == 1, "what was sent stays in the history"

    history.merge(B, "true1")
    history.on("AttemptOpened", round=2, attempt=2, participants=0b110)
    assert first.merge.hospital_id == B and first.merged_updates == first.attempts[1].updates
    assert second.merge is None and second.newest is second.attempts[2]
    assert history.record.open_round == 2


def test_mask_keys_are_those_of_enrolment() -> None:
    assert History().record.mask_keys == {A: bytes([A]) * 32, B: bytes([B]) * 32, C: bytes([C]) * 32}


def test_groups_are_those_of_the_draw_and_a_later_attempt_keeps_them() -> None:
    history = History()
    history.on("AttemptOpened", round=1, attempt=1, participants=0b111)
    rounds = history.record.round(1)
    assert rounds.newest.drawing is None and rounds.newest.labels == 0
    history.on("GroupsDrawn", round=1, seed=digest("seed"), labels=0x010)
    assert history.record.groups(rounds.newest) == [[A, C], [B]]
    assert rounds.newest.drawing.participants == 0b111
    history.on("AttemptOpened", round=1, attempt=2, participants=0b110)
    assert history.record.groups(rounds.newest) == [[C], [B]]
    history.on("JobPaused", round=1, live=1)
    history.on("AttemptOpened", round=1, attempt=3, participants=0b111)
    assert rounds.newest.drawing is None, "after a pause the groups are drawn anew"
    assert rounds.attempts[2].labels == 0x010


def test_who_doubts_whom_and_who_is_dropped() -> None:
    history = History()
    history.on("AttemptOpened", round=1, attempt=1, participants=0b111)
    history.submit(A, "a")
    history.on("Doubted", round=1, attempt=1, hospitalId=A, by=B)
    history.on("Doubted", round=1, attempt=1, hospitalId=A, by=C)
    history.on("Dropped", round=1, attempt=1, hospitalId=A)
    attempt = history.record.round(1).attempts[1]
    assert attempt.doubts == {A: {B, C}}
    assert set(attempt.dropped) == {A}


def test_challenges_are_kept() -> None:
    history = History()
    history.on("Challenged", round=1, challengerId=B, chunkIndex=4, proven=False)
    (challenge,) = history.record.challenges
    assert (challenge.round, challenge.challenger_id, challenge.chunk_index, challenge.proven) == (
        1,
        B,
        4,
        False,
    )


def test_every_published_vector_is_listed_the_voided_ones_too() -> None:
    history = History()
    history.on("AttemptOpened", round=1, attempt=1, participants=0b111)
    history.submit(A, "a")
    history.merge(A, "lie")
    history.on("MergeVoided", round=1, mergeDigest=digest("mlie"))
    history.merge(B, "true")
    assert {ref.cid for ref in history.record.vectors()} == {digest("a"), digest("lie"), digest("true")}


@pytest.mark.parametrize(
    "name",
    [
        "UpdateSubmitted",
        "GroupsDrawn",
        "Doubted",
        "Dropped",
        "Merged",
        "Attested",
        "MergeVoided",
        "RoundFinal",
    ],
)
def test_an_event_that_a_node_left_out_is_missed(name: str) -> None:
    history = History()
    with pytest.raises(ChainError, match="left out events of job 1"):
        history.on(
            name,
            round=1, attempt=1, hospitalId=A, update=vector("a"), state=vector("s"),
            epsilonTotalMicro=0, mergeDigest=digest("m"), seed=digest("seed"), labels=0, by=B,
        )  # fmt: skip
