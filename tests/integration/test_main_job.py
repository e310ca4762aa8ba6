"""DESIGN, "A round", invariants 1, 5, 6: four nodes train, the DAO releases, hospitals are paid, anyone re-checks."""

from __future__ import annotations

import json

import pytest

from protocol.chain.enums import ModelStatus
from protocol.chain.models import Models
from protocol.chain.rewards import Rewards
from protocol.content import canonical
from protocol.content.cid import to_cid
from tests.integration.stage import HELD_OUT_RECORDS, REWARD_WEI, Stage, merged_from
from tests.integration.story import Finished


def test_every_round_is_merged_from_all_four_and_attested(finished: Finished, stage: Stage) -> None:
    everyone = {actor.hospital_id for actor in stage.hospitals}
    for number in range(1, finished.rounds + 1):
        round = finished.record.round(number)
        assert [len(attempt.updates) for attempt in round.attempts.values()] == [4]
        assert merged_from(finished.record, number) == everyone
        assert round.merge.attested == everyone
        assert round.merge.final is not None
    mergers = [finished.record.round(number).merge.hospital_id for number in range(1, finished.rounds + 1)]
    assert len(set(mergers)) == len(mergers), "merging takes turns"


def test_each_hospital_reports_on_its_held_out_records(finished: Finished, stage: Stage) -> None:
    assert set(finished.record.reports) == {actor.hospital_id for actor in stage.hospitals}
    final = finished.record.round(finished.rounds).merge.state
    for report in finished.record.reports.values():
        document = canonical.loads(stage.ipfs.fetch(report.metrics, canonical.MAX_DOCUMENT_BYTES))
        assert (document["correct"], document["total"]) == (report.correct, HELD_OUT_RECORDS)
        assert document["state"] == to_cid(final.cid)
        assert {"loss", "auc", "sensitivity", "specificity"} <= set(document)


def test_the_version_is_released_by_the_vote(finished: Finished, stage: Stage) -> None:
    version = Models(stage.chain).version(stage.model_id, finished.version)
    assert version.status == ModelStatus.RELEASED
    assert version.job_id == finished.job_id


@pytest.mark.usefixtures("finished")
def test_the_books_balance_to_the_last_unit(stage: Stage) -> None:
    """Invariant 1, with a reward that no split divides evenly."""
    token = stage.chain.address("RewardToken")
    held_before = Rewards(stage.chain).held_of(token)
    paid = 0
    for actor in stage.hospitals:
        credit = Rewards(stage.chain).hospital_credit_of(actor.hospital_id, token)
        before = [stage.chain.token_balance(token, fund) for fund in vars(actor.funds).values()]
        Rewards(stage.chain.with_signer(actor.admin)).claim_hospital(token)
        after = [stage.chain.token_balance(token, fund) for fund in vars(actor.funds).values()]
        came = [b - a for a, b in zip(before, after, strict=True)]
        assert came == [credit.payout, credit.caregivers, credit.patients]
        assert credit.payout > 0 and credit.caregivers > 0 and credit.patients > 0
        paid += credit.sum
    for account in (stage.chain.address("TimelockController"), stage.researcher.address):
        if credit := Rewards(stage.chain).credit_of(account, token):
            Rewards(stage.chain.with_signer(stage.researcher)).claim(account, token)
            paid += credit
    assert held_before - Rewards(stage.chain).held_of(token) == paid
    assert paid >= REWARD_WEI, "nothing of this job's reward stays behind"


def test_trace_holds_and_recomputes_every_merge(finished: Finished, stage: Stage) -> None:
    """Invariant 5, from chain and IPFS alone: no home, no key."""
    result = stage.salus("trace", finished.name, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    document = json.loads(result.stdout)
    assert document["ok"] is True
    assert document["failures"] == []
    recomputed = [each for each in finished.leaves(document) if each["name"] == "the merge, computed again"]
    assert [each["ok"] for each in recomputed] == [True] * finished.rounds
