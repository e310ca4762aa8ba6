"""Events in pages: order, filters, and nodes that refuse large ranges."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.chain.consents import Consents
from protocol.chain.datasets import Datasets
from protocol.chain.events import decoded, events
from protocol.chain.rpc import RpcError
from protocol.errors import InvalidInput

from .conftest import World, version_of


def test_come_in_the_order_of_the_chain(world: World) -> None:
    for number in (1, 2, 3, 1):
        world.register(number)
    found = list(events(world.chain, "DatasetRegistry"))
    assert [event.args["hospitalId"] for event in found] == [1, 2, 3, 1]
    assert [event.args["datasetId"] for event in found] == [1, 2, 3, 4]
    assert [event.place for event in found] == sorted(event.place for event in found)
    assert {event.contract for event in found} == {"DatasetRegistry"}
    assert all(event.tx_hash.startswith("0x") for event in found)


def test_are_filtered_by_indexed_arguments(world: World) -> None:
    for number in (1, 2, 1):
        world.register(number)
    chain = world.chain
    assert [event.args["datasetId"] for event in events(chain, "DatasetRegistry", hospitalId=1)] == [1, 3]
    assert [event.args["hospitalId"] for event in events(chain, "DatasetRegistry", datasetId=2)] == [2]
    assert list(events(chain, "DatasetRegistry", datasetId=2, hospitalId=1)) == []


def test_one_argument_at_different_places_is_one_question(world: World) -> None:
    """ConsentMinted keeps the dataset's id third, EpsilonSpent first; ConsentRevoked does not have it."""
    consent_id = world.consent(1)
    dataset_id = Consents(world.chain).consent(consent_id).terms.dataset_id
    Consents(world.as_("admin-1")).revoke(consent_id)
    found = [event.name for event in events(world.chain, "ConsentToken", datasetId=dataset_id)]
    assert found == ["ConsentMinted"]
    found = [event.name for event in events(world.chain, "ConsentToken", consentId=consent_id)]
    assert found == ["ConsentMinted", "ConsentRevoked"]


def test_names_and_blocks_bound_the_search(world: World) -> None:
    receipts = [Datasets(world.as_("operator-1")).register(version_of()) for _ in range(3)]
    chain = world.chain
    only = {"from_block": receipts[1].block, "to_block": receipts[1].block}
    assert [event.args["datasetId"] for event in events(chain, "DatasetRegistry", **only)] == [2]
    assert list(events(chain, "DatasetRegistry", from_block=10, to_block=9)) == []
    assert list(events(chain, "HospitalRegistry", ["OperatorRotated"])) == []
    assert len(list(events(chain, "HospitalRegistry", ["HospitalAdmitted"]))) == 3


def test_unknown_events_and_arguments_are_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="no event Exploded"):
        list(events(world.chain, "DatasetRegistry", ["Exploded"]))
    with pytest.raises(InvalidInput, match="not indexed by root"):
        list(events(world.chain, "DatasetRegistry", ["DatasetVersionRegistered"], root=1))
    with pytest.raises(InvalidInput, match="No event of DatasetRegistry is indexed by jobId"):
        list(events(world.chain, "DatasetRegistry", jobId=1))


def test_pages_shrink_when_the_node_refuses_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        world.register(1)
    chain = world.chain
    asked: list[int] = []
    real = chain.rpc.request

    def request(method: str, *params: Any) -> Any:
        if method == "eth_getLogs":
            size = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            asked.append(size)
            if size > 3:
                raise RpcError(method, {"code": -32005, "message": "query returned more than 10000 results"})
        return real(method, *params)

    monkeypatch.setattr(chain.rpc, "request", request)
    found = [event.args["datasetId"] for event in events(chain, "DatasetRegistry")]
    assert found == [1, 2, 3, 4, 5, 6]
    accepted = [size for size in asked if size <= 3]
    # Once it has been refused it does not try large pages again and again.
    assert len(asked) - len(accepted) <= 8


def test_a_node_that_refuses_a_single_block_is_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = world.chain

    def request(method: str, *_: Any) -> Any:
        raise RpcError(method, {"code": -32601, "message": "logs are disabled"})

    monkeypatch.setattr(chain.rpc, "request", request)
    with pytest.raises(RpcError, match="logs are disabled"):
        list(events(chain, "DatasetRegistry", from_block=1, to_block=1))


def test_pages_grow_while_the_node_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = world.chain
    asked: list[int] = []

    def request(_: str, *params: Any) -> Any:
        asked.append(int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1)
        return []

    monkeypatch.setattr(chain.rpc, "request", request)
    assert list(events(chain, "DatasetRegistry", from_block=0, to_block=99, page=10)) == []
    assert asked == [10, 20, 40, 30]


def test_removed_and_foreign_logs_are_left_out() -> None:
    log = {
        "topics": ["0x" + "11" * 32],
        "data": "0x",
        "blockNumber": "0x1",
        "logIndex": "0x0",
        "transactionHash": "0x",
    }
    assert list(decoded("DatasetRegistry", [log, {**log, "topics": []}, {**log, "removed": True}])) == []
