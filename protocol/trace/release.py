"""The DAO's vote on a version, and that its release came out of it."""

from __future__ import annotations

from collections import defaultdict

from protocol.chain.enums import ModelStatus, Support
from protocol.chain.votes import TIMELOCK, Call, Votes
from protocol.trace.check import Check
from protocol.trace.evidence import Evidence


def check_release(evidence: Evidence, parent: Check, model_id: int, number: int, status: ModelStatus) -> None:
    """The DAO's vote, and that the release came out of it."""
    released = evidence.events("ModelRegistry", ["VersionReleased"], modelId=model_id, version=number)
    if not released:
        parent.add("release", status == ModelStatus.CANDIDATE, "not released: a candidate, or voted down")
        return
    node = parent.add("release")
    governor = evidence.events("SalusGovernor")
    executed = next(
        (
            each
            for each in governor
            if each.name == "ProposalExecuted" and each.tx_hash == released[0].tx_hash
        ),
        None,
    )
    if executed is None:
        node.add("by an executed proposal of the DAO", False, "released outside a proposal")
        return
    votes = Votes(evidence.chain)
    made = [each for each in votes.proposals() if each.proposal_id == executed.args["proposalId"]]
    if not made:
        node.add("by an executed proposal of the DAO", False, "no event made the proposal that was executed")
        return
    (proposal,) = made
    wanted = Call("ModelRegistry", "release", (model_id, number))
    node.add("the proposal asks for this release", wanted in proposal.calls, f"proposal {proposal.number}")
    cast: dict[int, int] = defaultdict(int)
    for each in governor:
        if each.name in ("VoteCast", "VoteCastWithParams") and (
            each.args["proposalId"] == proposal.proposal_id
        ):
            cast[each.args["support"]] += each.args["weight"]
    tally = votes.tally(proposal.proposal_id)
    node.add(
        "by an executed proposal of the DAO",
        (cast[Support.FOR], cast[Support.AGAINST], cast[Support.ABSTAIN])
        == (tally.for_, tally.against, tally.abstain)
        and tally.for_ > tally.against
        and tally.for_ + tally.abstain >= (tally.quorum or 0),
        f"for {tally.for_ / 1e18:,.0f}, against {tally.against / 1e18:,.0f},"
        f" abstained {tally.abstain / 1e18:,.0f} votes; the quorum is {(tally.quorum or 0) / 1e18:,.0f}",
    )
    node.add(
        "nobody but the DAO's timelock may release",
        evidence.chain.call("ModelRegistry", "owner") == evidence.chain.address(TIMELOCK),
    )
    withdrawn = evidence.events("ModelRegistry", ["VersionWithdrawn"], modelId=model_id, version=number)
    node.add(
        "not withdrawn since",
        not withdrawn and status == ModelStatus.RELEASED,
        "the DAO has withdrawn it" if withdrawn or status == ModelStatus.WITHDRAWN else "",
    )
