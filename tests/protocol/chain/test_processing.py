"""The record of processing activities (GDPR Art. 30), from the chain."""

from __future__ import annotations

import pytest

from protocol.chain.consents import Consents
from protocol.chain.datasets import Datasets, Version
from protocol.cli.processing import as_markdown
from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.errors import ContentError, Refused
from protocol.processing import FOR_PEOPLE, register

from .conftest import World, signer_of, version_of
from .play import start

SCHEMA = {
    "kind": "tabular",
    "name": "two-measurements",
    "columns": [{"name": "glucose", "type": "number", "centre": 100, "scale": 25}],
    "label": {"name": "ill", "positive": "> 0"},
}


class Documents:
    """What IPFS would have."""

    def __init__(self, *documents: dict) -> None:
        self.held = {digest_of(canonical.dumps(each)): canonical.dumps(each) for each in documents}

    def fetch(self, digest: bytes, limit: int) -> bytes:
        if digest not in self.held:
            raise ContentError("Nobody has it.")
        assert len(self.held[digest]) <= limit
        return self.held[digest]


def test_versions_terms_and_jobs_of_one_hospital_are_in_it(world: World) -> None:
    started = start(world)
    dataset_id = Datasets(world.chain).ids_of_hospital(1)[0]
    evidence = {"kind": "salus/evidence", "withdrawn": 2}
    ipfs = Documents(SCHEMA, evidence)
    later = version_of(99, root=b"\4" * 32)
    Datasets(world.as_("operator-1")).append(
        dataset_id,
        Version(
            later.root,
            later.train_records,
            later.held_out_records,
            digest_of(canonical.dumps(SCHEMA)),
            later.profile,
            digest_of(canonical.dumps(evidence)),
        ),
    )
    Consents(world.as_("admin-1")).revoke(started.consents[1])

    found = register(world.chain, ipfs, 1, {"images": 7})
    [activity] = found.activities
    assert (activity.dataset_id, activity.schema, activity.data) == (
        dataset_id,
        "two-measurements",
        ["glucose", "ill"],
    )
    assert [(each.number, each.withdrawn, each.train_records) for each in activity.versions] == [
        (1, None, 100),
        (2, 2, 99),
    ]
    [terms] = activity.consents
    assert terms.revoked and terms.permission == "health, medical and biomedical research"
    [training] = activity.trainings
    assert training.job_id == started.job_id and training.dataset_version == 1
    assert training.researcher == signer_of("researcher").address
    assert training.purpose == "health, medical and biomedical research; pledges PUB"
    assert len(training.hospitals) == 3 and training.retain_until is None, "nobody has the spec"

    text = as_markdown(found)
    for said in ("GDPR Art. 30(1)", "revoked", "images: 7", "spec cannot be had", *FOR_PEOPLE):
        assert said in text
    assert "| 2 | " in text and "the vault was not asked" not in text


def test_another_hospitals_datasets_are_not_in_it(world: World) -> None:
    world.register(1)
    found = register(world.chain, Documents(), 2)
    assert found.activities == [] and "No dataset of this hospital" in as_markdown(found)
    with pytest.raises(Refused):
        register(world.chain, Documents(), 99)


def test_what_a_stranger_wrote_stays_text(world: World) -> None:
    found = register(world.chain, Documents(), 1)
    renamed = type(found)(1, "A | B\n# C <b>", found.at, [], {})
    assert "# Record of processing activities: A \\| B \\# C \\<b\\>\n" in as_markdown(renamed)
