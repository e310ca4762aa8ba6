"""What people see of a trace, a node and a policy, without a chain."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from protocol.cli import main, trace
from protocol.cli.jobs_view import spec_facts
from protocol.cli.output import PRIVACY_NONE, tokens
from protocol.spec import JobSpec
from protocol.trace import Check
from tests.protocol.job_documents import job


@pytest.fixture
def check() -> Check:
    """A version of which one update was altered."""
    root = Check("model 1, version 2")
    root.add("the record of the chain agrees with its events")
    job = root.add("job 1")
    job.add("privacy: none", True, "updates lie unmasked on IPFS")
    job.add("round 1").add("bytes", False, "these are not the bytes")
    return root


def drawn(check: Check, *, failures_only: bool) -> str:
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(trace.tree(check, failures_only=failures_only))
    return console.export_text()


def test_a_trace_is_a_tree_that_marks_what_does_not_hold(check: Check) -> None:
    lines = drawn(check, failures_only=False).splitlines()
    assert lines[0].startswith("✗ model 1, version 2")
    assert "✓ the record of the chain agrees with its events" in lines[1]
    assert lines[-1].endswith("✗ bytes  these are not the bytes")


def test_only_failures_leaves_out_what_holds(check: Check) -> None:
    text = drawn(check, failures_only=True)
    assert "✓" not in text
    assert "these are not the bytes" in text


def test_trace_exits_1_and_names_what_fails(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "check_version", lambda *_: check)
    monkeypatch.setattr("protocol.cli.session.Session.chain", None)
    monkeypatch.setattr("protocol.cli.session.Session.ipfs", None)
    outcome = CliRunner().invoke(main, ["trace", "1@2", "--json"])
    document = json.loads(outcome.stdout)
    assert outcome.exit_code == 1
    assert document["ok"] is False
    (failure,) = document["failures"]
    assert (failure["name"], failure["detail"]) == ("bytes", "these are not the bytes")
    assert failure["path"][-1] == "bytes" and len(failure["path"]) > 1
    assert document["notices"] == [PRIVACY_NONE]
    assert document["checks"][0]["checks"][1]["ok"] is False


def test_the_example_policy_is_a_policy(tmp_path: Path) -> None:
    printed = CliRunner().invoke(main, ["node", "policy", "--example"])
    assert printed.exit_code == 0
    path = tmp_path / "policy.json"
    path.write_text(printed.stdout)
    assert CliRunner().invoke(main, ["node", "policy", str(path), "--json"]).exit_code == 0


def test_a_policy_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"architectures": [], "purposes": [], "privacy": [], "surprise": 1}')
    outcome = CliRunner().invoke(main, ["node", "policy", str(path)])
    assert outcome.exit_code == 1
    assert "surprise" in outcome.stderr


def test_a_node_says_what_it_does_and_repeats_that_its_updates_are_unmasked(tmp_path: Path) -> None:
    progress = {
        "privacy": "none", "round": 3, "loss": 0.5, "accuracy": None, "train_seconds": 0.1, "gas_used": 7,
        "history": [], "doing": "round 3: waits for hospital 2",
    }  # fmt: skip
    status = {
        "hospital_id": 1,
        "pid": os.getpid(),
        "since": 1.0,
        "doing": "job 1: waiting",
        "chain": "Blocks 7 to 8 were taken back.",
        "jobs": {"1": progress},
        "refused": {"1": "The disk is full.", "2": "No consent."},
    }
    (tmp_path / "status.json").write_text(json.dumps(status))
    outcome = CliRunner().invoke(main, ["--home", str(tmp_path), "node", "status"])
    assert outcome.exit_code == 0
    assert PRIVACY_NONE in outcome.stdout
    for said in (
        *(status["doing"], status["chain"], "Job 1: round 3: waits for hospital 2"),
        *("Held up in job 1: The disk is full.", "Not in job 2: No consent."),
    ):
        assert said in outcome.stdout


def test_a_home_without_a_node_is_refused_in_words(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["--home", str(tmp_path), "node", "status"])
    assert outcome.exit_code == 1
    assert "No node has run" in outcome.stderr


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (10**18, "1"),
        (1_250_500_000_000_000_000_000, "1,250.5"),
        (10**18 + 1, "1"),
        (5 * 10**12, "0.000005"),
    ],
)
def test_amounts_read_as_people_write_them(amount: int, text: str) -> None:
    assert tokens(amount) == text


def test_every_spec_says_whom_differential_privacy_protects() -> None:
    document = job()
    assert spec_facts(JobSpec.from_dict(document))["privacy"].endswith("no differential privacy")
    document["privacy"]["dp"] = {
        "unit": "record", "noise_multiplier": 9, "max_grad_norm": 1, "delta": 0.001, "accountant": "prv",
    }  # fmt: skip
    words = spec_facts(JobSpec.from_dict(document))["privacy"]
    assert "differential privacy of each record: noise 9, gradients within 1, delta 0.001, prv" in words
