"""What a node tells a monitoring system, over real HTTP."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protocol.errors import NodeError
from protocol.node.metrics import PATIENCE_SECONDS, Endpoint, ailment

PROGRESS = {"round": 4, "train_seconds": 0.25, "gas_used": 321_000, "loss": 0.123456, "accuracy": 0.987654}


@pytest.fixture
def node() -> SimpleNamespace:
    """All of a node that its metrics read."""
    return SimpleNamespace(
        hospital_id=3,
        status=SimpleNamespace(since=1_000.0, doing="job 7: round 4", jobs={7: PROGRESS}),
        turned_at=time.time(),
        trouble="",
        workers={7: object()},
        refusals={},
        watch=SimpleNamespace(reorganisations=[]),
        steps=Counter(submit=4, merge=1),
        policy=SimpleNamespace(max_round_seconds=600),
    )


@pytest.fixture
def endpoint(node: SimpleNamespace) -> Iterator[Endpoint]:
    with Endpoint(node, 0) as served:
        yield served


def asked(endpoint: Endpoint, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_the_figures(endpoint: Endpoint) -> None:
    status, text = asked(endpoint, "/metrics")
    found = samples(text)
    assert status == 200
    assert found["salus_node_start_time_seconds", (("hospital", "3"),)] == 1_000
    assert found["salus_node_steps_total", (("step", "submit"),)] == 4
    assert found["salus_job_round", (("job", "7"),)] == 4
    assert found["salus_job_gas_total", (("job", "7"),)] == 321_000
    assert found["salus_node_jobs", ()] == 1
    assert found["process_resident_memory_bytes", ()] > 0


def test_what_the_data_showed_is_not_among_them(endpoint: Endpoint) -> None:
    _, text = asked(endpoint, "/metrics")
    assert "0.123456" not in text and "0.987654" not in text


def test_a_node_that_looks_at_its_jobs_is_well(endpoint: Endpoint) -> None:
    status, text = asked(endpoint, "/healthz")
    assert status == 200
    assert json.loads(text) == {"ok": True, "doing": "job 7: round 4", "reason": ""}


def test_a_node_in_trouble_says_why(node: Any, endpoint: Endpoint) -> None:
    node.trouble = "The chain node does not answer."
    status, text = asked(endpoint, "/healthz")
    assert status == 503
    assert json.loads(text)["reason"] == node.trouble
    assert samples(asked(endpoint, "/metrics")[1])["salus_node_in_trouble", ()] == 1


def test_a_long_training_is_no_ailment_and_silence_is(node: Any) -> None:
    longest = node.policy.max_round_seconds + PATIENCE_SECONDS
    assert ailment(node, node.turned_at + longest) == ""
    assert "has not looked at its jobs" in ailment(node, node.turned_at + longest + 1)


def test_other_paths_are_not_there(endpoint: Endpoint) -> None:
    assert asked(endpoint, "/")[0] == 404


def test_a_taken_port_is_said(node: Any, endpoint: Endpoint) -> None:
    with pytest.raises(NodeError, match=f"Port {endpoint.port} of 127.0.0.1 cannot be listened on"):
        Endpoint(node, endpoint.port)
