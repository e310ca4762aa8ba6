"""A chain node that leaves events out cannot make `trace` say that all is well, nor bring it down."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from protocol.chain import abi
from protocol.chain.client import Chain
from protocol.trace import trace
from tests.integration.stage import Stage
from tests.integration.story import Finished

#: Each carries something that the verdict rests on.
NEEDED = [
    ("ModelRegistry", "ModelCreated"),
    ("ModelRegistry", "VersionAdded"),
    ("ModelRegistry", "VersionReleased"),
    ("DatasetRegistry", "DatasetVersionRegistered"),
    ("ConsentToken", "ConsentMinted"),
    ("ConsentToken", "ConsentUsed"),
    ("TrainingJobs", "JobProposed"),
    ("TrainingJobs", "Enrolled"),
    ("TrainingJobs", "AttemptOpened"),
    ("TrainingJobs", "UpdateSubmitted"),
    ("TrainingJobs", "Merged"),
    ("TrainingJobs", "Attested"),
    ("TrainingJobs", "ReportingOpened"),
    ("TrainingJobs", "Reported"),
    ("TrainingJobs", "JobFinished"),
    ("Bonds", "Deposited"),
    ("Bonds", "Locked"),
    ("RewardPool", "Escrowed"),
    ("RewardPool", "HospitalCredited"),
    ("RewardPool", "AccountCredited"),
    ("RewardPool", "Settled"),
    ("SalusGovernor", "ProposalCreated"),
    ("SalusGovernor", "ProposalExecuted"),
    ("SalusGovernor", "VoteCast"),
]


@pytest.fixture(scope="module")
def honest(cast: Stage, finished: Finished) -> Chain:
    """A connection at the block that it first saw; it asks nothing twice, so that many traces take little longer than
    one."""
    assert finished.version
    chain = Chain(cast.chain.rpc.url, cast.chain.deployment)
    head, ask, ask_many = chain.head(), chain.rpc.request, chain.rpc.batch
    request, batch = (cache(lambda text, each=each: each(*json.loads(text))) for each in (ask, ask_many))
    chain.clock.head = lambda: head
    chain.rpc.request = lambda method, *params: request(json.dumps([method, *params]))
    chain.rpc.batch = lambda questions: batch(json.dumps([questions]))
    return chain


@pytest.mark.parametrize(("contract", "name"), NEEDED)
def test_what_a_node_leaves_out_is_missed(
    finished: Finished, cast: Stage, honest: Chain, monkeypatch: pytest.MonkeyPatch, contract: str, name: str
) -> None:
    topics = {event.name: "0x" + digest.hex() for digest, event in abi.load(contract).events.items()}
    topic, answered, left_out = topics[name], honest.rpc.request, []

    def omitting(method: str, *params: Any) -> Any:
        answer = answered(method, *params)
        if method != "eth_getLogs":
            return answer
        left_out.extend(log for log in answer if log["topics"][0] == topic)
        return [log for log in answer if log["topics"][0] != topic]

    monkeypatch.setattr(honest.rpc, "request", omitting)
    found = trace(honest, cast.ipfs, finished.model_id, finished.version)
    assert left_out, "nothing of the kind was asked for"
    assert not found.holds
