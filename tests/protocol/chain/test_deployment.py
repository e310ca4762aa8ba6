"""The deployment file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.chain.deployment import Deployment
from protocol.errors import InvalidInput

ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"
DEPLOYMENT = Deployment(1337, "0x" + "ab" * 32, 3, {"TrainingJobs": ADDRESS.lower()})


def test_is_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deployment.json"
    DEPLOYMENT.save(path)
    assert Deployment.load(path) == DEPLOYMENT
    assert json.loads(path.read_text())["contracts"] == {"TrainingJobs": ADDRESS}
    assert list(path.parent.iterdir()) == [path]


def test_finds_addresses_by_name_and_names_by_address() -> None:
    assert DEPLOYMENT.address("TrainingJobs") == ADDRESS
    assert DEPLOYMENT.address(ADDRESS.lower()) == ADDRESS
    assert DEPLOYMENT.name_of(ADDRESS.lower()) == "TrainingJobs"
    assert DEPLOYMENT.name_of("0x" + "11" * 20) is None
    with pytest.raises(InvalidInput, match="no contract RewardPool"):
        DEPLOYMENT.address("RewardPool")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a deployment file"),
        ("{}", "chain_id|contracts|genesis_hash"),
        ('{"chain_id": 1, "genesis_hash": "0x12", "block": 0, "contracts": {}}', "not 32 bytes"),
        (
            '{"chain_id": 1, "genesis_hash": "0x%s", "block": 0, "contracts": {"A": "b"}}' % ("11" * 32),
            "not a deployment",
        ),
    ],
)
def test_refuses_another_file(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=reason):
        Deployment.load(path)


def test_says_where_a_missing_file_was_sought(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no deployment file at .*none\.json") as error:
        Deployment.load(tmp_path / "none.json")
    assert "salus devnet up" in error.value.hint
