"""A hospital's own rules: what it does not name, it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.chain.jobs import Phases
from protocol.errors import AdmissionRefused, InvalidInput
from protocol.node.policy import EXAMPLE, Policy
from protocol.spec import JobSpec
from tests.protocol.job_documents import DOCUMENT

RESEARCHER = "0x" + "ab" * 20
PHASES = Phases.of_seconds(3600)


def a_spec(**changes: object) -> JobSpec:
    return JobSpec.from_dict({**DOCUMENT, "privacy": {"mechanism": "masked"}, **changes})


def test_a_job_within_the_policy_is_admitted() -> None:
    EXAMPLE.require(EXAMPLE.reasons_against(a_spec(), RESEARCHER, 100, PHASES), 1)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"architectures": ["cnn"]}, "architecture"),
        ({"purposes": ["DS"]}, "purpose"),
        ({"privacy": []}, "privacy: masked is not allowed"),
        ({"researchers": ["0x" + "cd" * 20]}, "researcher"),
        ({"max_parameters": 1}, "parameters"),
        ({"max_rounds": 1}, "rounds"),
        ({"max_local_epochs": 1}, "local epochs"),
        ({"min_hospitals": 30}, "hospitals"),
        ({"max_memory_mib": 1}, "MiB"),
        ({"differential_privacy": True}, "without differential privacy"),
        ({"min_submit_seconds": 3601}, "3600 s to send an update"),
        ({"min_check_seconds": 3601}, "3600 s to prove a merge false"),
        ({"max_phase_seconds": 3599}, "a phase of 3,600 s, at most 3,599 s"),
    ],
)
def test_each_limit_refuses_and_says_why(policy: dict[str, object], reason: str) -> None:
    strict = Policy.from_dict({**EXAMPLE.as_dict(), **policy})
    with pytest.raises(AdmissionRefused, match=reason):
        strict.require(strict.reasons_against(a_spec(), RESEARCHER, 100, PHASES), 7)


def test_gradients_of_each_record_need_memory() -> None:
    dp = {"unit": "record", "noise_multiplier": 1, "max_grad_norm": 1, "delta": 0.001, "accountant": "rdp"}
    wide = {"architecture": "mlp", "parameters": {"inputs": 3, "hidden": [1000, 1000], "outputs": 1}}
    training = {**DOCUMENT["training"], "batch_size": 1024}
    plain = a_spec(model=wide, training=training)
    private = a_spec(model=wide, training=training, privacy={"mechanism": "masked", "dp": dp})
    assert EXAMPLE.reasons_against(plain, RESEARCHER, 5000, PHASES) == []
    (reason,) = EXAMPLE.reasons_against(private, RESEARCHER, 5000, PHASES)
    assert "MiB" in reason
    assert EXAMPLE.reasons_against(private, RESEARCHER, 50, PHASES) == []


def test_the_work_of_a_round_is_bounded() -> None:
    strict = Policy.from_dict({**EXAMPLE.as_dict(), "max_giga_multiply_adds": 1})
    assert strict.reasons_against(a_spec(), RESEARCHER, 100, PHASES) == []
    assert "multiply-adds" in strict.reasons_against(a_spec(), RESEARCHER, 10**9, PHASES)[0]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "not a JSON object"),
        ({"architectures": [], "purposes": []}, "lacks `privacy`"),
        ({**EXAMPLE.as_dict(), "gpu": 1}, "unknown field: gpu"),
        ({**EXAMPLE.as_dict(), "max_rounds": 0}, "max_rounds"),
        ({**EXAMPLE.as_dict(), "max_rounds": True}, "max_rounds"),
        ({**EXAMPLE.as_dict(), "bond_again": 1}, "bond_again"),
        ({**EXAMPLE.as_dict(), "purposes": "HMB"}, "purposes"),
    ],
)
def test_a_malformed_policy_is_refused_by_field(tmp_path: Path, given: object, reason: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(given))
    with pytest.raises(InvalidInput, match=reason):
        Policy.load(path)


def test_a_missing_or_broken_policy_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no admission policy"):
        Policy.load(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InvalidInput, match="cannot be read"):
        Policy.load(tmp_path / "broken.json")


def test_the_example_allows_masked_updates_alone() -> None:
    """A job that publishes unmasked updates must be allowed in so many words."""
    against = EXAMPLE.reasons_against(a_spec(privacy={"mechanism": "none"}), RESEARCHER, 100, PHASES)
    with pytest.raises(AdmissionRefused, match="privacy: none is not allowed here"):
        EXAMPLE.require(against, 7)


def test_a_second_bond_is_posted_only_where_the_policy_says_so() -> None:
    assert not EXAMPLE.bond_again
    assert Policy.from_dict({**EXAMPLE.as_dict(), "bond_again": True}).bond_again


def test_the_example_round_trips() -> None:
    assert Policy.from_dict(EXAMPLE.as_dict()) == EXAMPLE
