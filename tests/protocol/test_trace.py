"""The verifier's own judgement of consents: a place in the chain is a block and an index in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.chain.consents import ANYONE, Permission, Purpose, Terms
from protocol.chain.events import Event
from protocol.trace import Check, ConsentLife

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
