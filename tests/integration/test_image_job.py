"""Nodes train on images of their vaults; a patient withdraws, and the version that had learned of them is named."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from protocol.client import create_model, register_dataset
from protocol.data.splits import TRAIN
from protocol.devnet import Devnet
from protocol.learning import train
from protocol.node.policy import Policy
from protocol.spec import JobSpec, ModelSpec, StateSpec
from protocol.trace import trace
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault
from protocol.withdrawal import models_that_used
from tests.integration.stage import DOCUMENT, Actor, Stage
from tests.protocol.vault.cohorts import NO_TEXT, SCHEMA, fill

PATIENTS = 40
SIZE = {"channels": 1, "height": SCHEMA.rows, "width": SCHEMA.columns, "classes": 2}
MODEL = {"architecture": "cnn", "parameters": {**SIZE, "filters": [4], "groups": 2}}


class Imaging(Stage):
    """Three hospitals with vaults, beside those of the other tests."""

    name = "imaging"

    def _actor(self, name: str) -> Actor:
        return super()._actor(f"{self.name}-{name}")

    def policy(self) -> Policy:
        return Policy(**{**vars(super().policy()), "architectures": ("cnn",)})

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "SALUS_VAULT_PASSWORD_FILE": str(self.devnet.password_file)}

    def fill(self, actor: Actor) -> None:
        """A vault, and a dataset of all that is in it, which the actor's consents are for from here on."""
        vault = Vault.create(actor.home, self.devnet.accounts.password)
        fill(vault, range(PATIENTS), each=1)
        folder = actor.home / "datasets" / "images"
        actor.dataset = ImageDataset.create(folder, SCHEMA, vault, "", 0.5, finder=NO_TEXT)
        register_dataset(self.chain.with_signer(actor.operator), self.ipfs, actor.dataset)

    def image_spec(self) -> JobSpec:
        model = ModelSpec(**MODEL)
        base = train.initial_state(model, StateSpec(24, {}), 3)
        self.model_id, self.base = create_model(
            self.chain.with_signer(self.researcher), self.ipfs, "Images", base
        )
        training = {**DOCUMENT["training"], "loss": "cross_entropy"}
        # The pictures are noise: nobody learns from them.
        return self.spec(
            model=MODEL,
            training=training,
            data={"schema": SCHEMA.to_dict()},
            rounds=2,
            hospitals__max=3,
            gate={"accuracy_bps": 100},
        )


@pytest.fixture(scope="module")
def three(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imaging]:
    stage = Imaging(devnet, tmp_path_factory.mktemp("imaging"), size=3)
    try:
        yield stage
    finally:
        stage.kill(*stage.hospitals)
        stage.ipfs.close()


def test_vaults_train_one_model_and_a_withdrawn_patient_is_followed_into_it(three: Imaging) -> None:
    for actor in three.hospitals:
        three.fill(actor)
    job_id = three.propose(spec=three.image_spec())
    three.start(*three.hospitals)
    record = three.finish(job_id, timeout=240)
    everyone = {actor.hospital_id for actor in three.hospitals}
    assert {each.hospital_id for each in record.round(2).merged_updates} == everyone
    assert trace(three.chain, three.ipfs, three.model_id, record.ended.args["version"]).holds

    actor = three.hospitals[0]
    before, patient = (
        actor.dataset,
        next(each for each in actor.dataset.members() if each.split == TRAIN).patient,
    )
    vault = Vault.open(actor.home, three.devnet.accounts.password)
    gone = vault.withdraw(patient)
    after = ImageDataset.open(before.folder, vault=vault).withdraw(gone, finder=NO_TEXT)
    register_dataset(three.chain.with_signer(actor.operator), three.ipfs, after)
    assert after.train_records == before.train_records - 1 and after.leaves == before.leaves
    [used] = models_that_used(three.chain, before.dataset_id, [before.root])
    assert (used.model_id, used.version, used.job_id) == (
        three.model_id,
        record.ended.args["version"],
        job_id,
    )

    said = three.salus("dataset", "uses", "--name", "images", "--json", home=actor.home)
    assert said.returncode == 0, said.stderr
    assert str(record.ended.args["version"]) in json.dumps(json.loads(said.stdout))
