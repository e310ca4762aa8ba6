"""The verifier's own judgement of consents: a place in the chain is a block and an index in it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from protocol.chain.consents import ANYONE, Permission, Purpose, Terms
from protocol.chain.events import Event
from protocol.learning.fixed_point import Layout
from protocol.learning.merge import quantise
from protocol.spec import JobSpec
from protocol.trace.bounds import check_bound, update_bounds
from protocol.trace.check import Check
from protocol.trace.consent import ConsentLife
from tests.protocol.job_documents import job

TERMS = Terms(1, ANYONE, Permission.HMB, 0, 0, 0, 1_000, 2, 0)
PURPOSE = Purpose("0x" + "ab" * 20, Permission.HMB, 0, 0, 0)


def event(name: str, block: int, log_index: int = 0) -> Event:
    return Event(name, "ConsentToken", {}, block, log_index, f"0x{block:064x}")


def life(**changes: object) -> ConsentLife:
    return replace(ConsentLife(3, TERMS, event("ConsentMinted", 10)), **changes)


UPDATE = event("UpdateSubmitted", 20, 4)


def test_a_live_matching_consent_gives_no_reason() -> None:
    """Invariant 2."""
    assert life().reasons_against(UPDATE, 999, 3, PURPOSE) == []


@pytest.mark.parametrize(
    ("changes", "timestamp", "hospital_id", "reason"),
    [
        ({}, 999, 4, "given by hospital 3"),
        ({"minted": event("ConsentMinted", 20, 5)}, 999, 3, "minted later"),
        ({"revoked": event("ConsentRevoked", 20, 3)}, 999, 3, "revoked before"),
        ({}, 1_000, 3, "expired before"),
        ({"uses": [event("ConsentUsed", 12), event("ConsentUsed", 14)]}, 999, 3, "used more often"),
        ({"terms": replace(TERMS, modifiers=1)}, 999, 3, "does not pledge"),
    ],
)
def test_each_way_in_which_it_did_not_allow_the_update(
    changes: dict[str, object], timestamp: int, hospital_id: int, reason: str
) -> None:
    (found,) = life(**changes).reasons_against(UPDATE, timestamp, hospital_id, PURPOSE)
    assert reason in found


def test_a_revocation_later_in_the_same_block_comes_too_late() -> None:
    assert life(revoked=event("ConsentRevoked", 20, 5)).reasons_against(UPDATE, 999, 3, PURPOSE) == []


def test_the_last_allowed_update_is_allowed() -> None:
    uses = [event("ConsentUsed", 12), event("ConsentUsed", 20, 6)]
    assert life(uses=uses).reasons_against(UPDATE, 999, 3, PURPOSE) == []


def test_a_check_holds_when_all_below_it_hold_and_names_the_innermost_that_does_not() -> None:
    root = Check("root")
    branch = root.add("branch")
    branch.add("good")
    assert root.holds and root.failures() == [] and root.count() == 1
    bad = branch.add("bad", False, "why")
    assert not root.holds and not branch.holds
    assert root.failures() == [bad]
    assert root.count() == 2
    assert root.as_dict()["ok"] is False


def test_a_consents_life_is_read_from_its_events() -> None:
    minted = replace(
        event("ConsentMinted", 10),
        args={
            "hospitalId": 3,
            "terms": {
                "datasetId": 1, "grantee": ANYONE, "permission": 2, "mondo": 0, "modifiers": 0, "region": 0,
                "expiresAt": 1_000, "maxRounds": 2, "epsilonBudgetMicro": 0,
            },
        },
    )  # fmt: skip
    used, revoked = event("ConsentUsed", 11), event("ConsentRevoked", 12)
    assert ConsentLife.of([minted, used, revoked]) == ConsentLife(3, TERMS, minted, revoked, [used])


def test_a_consent_that_no_event_mints_has_no_life() -> None:
    assert ConsentLife.of([event("ConsentRevoked", 12)]) is None


def test_an_honest_update_stays_within_its_weight_and_one_beyond_it_does_not() -> None:
    spec = JobSpec.from_dict(job())
    bounds = update_bounds(spec, [{3: 100, 4: 300}])
    layout = Layout.of({"w": (1_000,)}, spec.state.fraction_bits)
    delta = np.random.default_rng(1).normal(size=1_000) * 100
    q = quantise(delta, Fraction(1, 4), 2, layout, spec.merge.clip_norm)
    root = Check("root")
    check_bound(root, q, bounds[3])
    assert root.holds
    check_bound(root, 4 * q, bounds[3])
    assert not root.holds
    other = Check("other")
    check_bound(other, 2 * q, bounds[4])
    assert other.holds
