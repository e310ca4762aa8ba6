"""Hospitals with vaults of FHIR records, filled by the commands that a hospital uses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from protocol.client import create_model
from protocol.cohort.mapping import CohortMapping
from protocol.learning import train
from protocol.spec import JobSpec
from protocol.templates import Template
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault
from tests.integration.stage import YEAR_SECONDS, Actor, Stage

NAME = "prediabetes"
PATIENCE_SECONDS = 120


class Recording(Stage):
    """Four hospitals with vaults of records, beside those of the other tests."""

    name = "recording"

    def _actor(self, name: str) -> Actor:
        return super()._actor(f"{self.name}-{name}")

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "SALUS_VAULT_PASSWORD_FILE": str(self.devnet.password_file)}

    def said(self, actor: Actor, *words: str, stdin: str | None = None) -> dict[str, Any]:
        """What a command of a hospital answers."""
        done = self.ran(actor, *words, stdin=stdin)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def ran(self, actor: Actor, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [*self.command(actor)[:3], *self.options(actor.home), *words, "--json"]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, input=stdin, check=False,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip

    def fill(self, actor: Actor, bundles: list[dict[str, Any]], folder: Path) -> None:
        """A vault, its records, and the cohort's dataset, which the actor's consents are for from here on."""
        folder.mkdir()
        for number, bundle in enumerate(bundles):
            (folder / f"{number}.json").write_text(json.dumps(bundle))
        self.said(actor, "vault", "init")
        self.said(actor, "records", "import", str(folder))
        self.said(actor, "records", "cohort", NAME, "--mapping", NAME, "--held-out", "0.4")
        self.said(actor, "dataset", "register", "--name", NAME, "--account", f"{actor.name}-operator")
        actor.dataset = self.dataset(actor)
        actor.consents = []

    def dataset(self, actor: Actor) -> RecordDataset:
        vault = Vault.open(actor.home, self.devnet.accounts.password)
        return RecordDataset.open(actor.home / "datasets" / NAME, vault=vault)

    def record_spec(self) -> JobSpec:
        template = Template.load(NAME)
        base = train.initial_state(template.model, template.state, template.seed)
        chain = self.chain.with_signer(self.researcher)
        self.model_id, ref = create_model(chain, self.ipfs, "Prediabetes", base)
        return template.complete(
            base_cid=ref.cid,
            base_root=ref.root,
            schema=CohortMapping.packaged(NAME).schema().to_dict(),
            retain_until=self.chain.now() + YEAR_SECONDS,
            rounds=2,
            gate={"accuracy_bps": 100},
            purpose={**template.document["purpose"], "pledges": ["PUB"]},
        )
