"""Mask keys at a hospital: made once a job, sealed under the operator's account, gone with the job."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.chain.accounts import Signer
from protocol.errors import JobKeyError
from protocol.node.job_keys import JobKeys
from protocol.node.journal import Journal
from protocol.node.places import JobPlace
from tests.protocol.node.contexts import CONTEXT, UPDATE, place_of

SIGNER = Signer.from_key("0x" + "01" * 32)
OTHER = Signer.from_key("0x" + "02" * 32)
PLACE = JobPlace("0x" + "aa" * 32, "0x" + "bB" * 20, 7)


def test_a_key_is_made_once_for_a_job(tmp_path: Path) -> None:
    """Also after a crash between key and enrolment, or a reorganisation that took the enrolment back."""
    made = JobKeys(tmp_path, SIGNER).make(PLACE)
    again = JobKeys(tmp_path, SIGNER).make(PLACE)
    assert again.to_bytes() == made.to_bytes()
    assert JobKeys(tmp_path, SIGNER).find(PLACE).public == made.public


@pytest.mark.parametrize(
    "changed", [{"job_id": 8}, {"genesis": "0x" + "ab" * 32}, {"contract": "0x" + "cc" * 20}]
)
def test_every_job_has_a_key_of_its_own(tmp_path: Path, changed: dict) -> None:
    keys = JobKeys(tmp_path, SIGNER)
    assert keys.make(PLACE).public != keys.make(replace(PLACE, **changed)).public


def test_the_private_half_is_not_on_the_disk(tmp_path: Path) -> None:
    key = JobKeys(tmp_path, SIGNER).make(PLACE)
    (path,) = tmp_path.glob("*/mask-key")
    data = path.read_bytes()
    assert key.to_bytes() not in data and key.to_bytes().hex().encode() not in data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_account_cannot_open_it(tmp_path: Path) -> None:
    JobKeys(tmp_path, SIGNER).make(PLACE)
    with pytest.raises(JobKeyError, match="another operator account"):
        JobKeys(tmp_path, OTHER).find(PLACE)


def test_a_key_moved_to_another_job_is_refused(tmp_path: Path) -> None:
    """A job key opens one job alone: bound to chain, contract and job, not to the name of a file."""
    keys = JobKeys(tmp_path, SIGNER)
    keys.make(PLACE)
    other = replace(PLACE, job_id=8)
    PLACE.folder(tmp_path).rename(other.folder(tmp_path))
    with pytest.raises(JobKeyError, match="cannot be opened"):
        keys.make(other)


@pytest.mark.parametrize("damage", ["", "{}", '{"public": "zz", "nonce": "", "sealed": ""}'])
def test_a_damaged_key_is_not_replaced(tmp_path: Path, damage: str) -> None:
    keys = JobKeys(tmp_path, SIGNER)
    keys.make(PLACE)
    (path,) = tmp_path.glob("*/mask-key")
    path.write_text(damage)
    with pytest.raises(JobKeyError, match="damaged"):
        keys.make(PLACE)
    assert path.read_text() == damage


def test_a_key_whose_seal_was_altered_is_refused(tmp_path: Path) -> None:
    keys = JobKeys(tmp_path, SIGNER)
    keys.make(PLACE)
    (path,) = tmp_path.glob("*/mask-key")
    document = json.loads(path.read_text())
    document["public"] = keys.make(replace(PLACE, job_id=8)).public.hex()
    path.write_text(json.dumps(document))
    with pytest.raises(JobKeyError, match="cannot be opened"):
        keys.find(PLACE)


def test_the_key_goes_with_the_job(tmp_path: Path) -> None:
    """DESIGN, "Keys of masking": a key stolen later opens nothing."""
    journal, keys = Journal(tmp_path), JobKeys(tmp_path, SIGNER)
    keys.make(place_of(CONTEXT))
    journal.write(CONTEXT, UPDATE)
    journal.forget(place_of(CONTEXT))
    assert keys.find(place_of(CONTEXT)) is None
    assert not list(tmp_path.iterdir())


def test_a_full_disk_enrols_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("protocol.node.places.os.fsync", full)
    with pytest.raises(JobKeyError, match="No space left"):
        JobKeys(tmp_path, SIGNER).make(PLACE)
    monkeypatch.undo()
    assert JobKeys(tmp_path, SIGNER).find(PLACE) is None
