"""A job that went well, from its proposal to the release of its version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from protocol.chain.enums import ModelStatus
from protocol.chain.models import Models
from protocol.chain.votes import Call
from protocol.record import JobRecord
from tests.integration.stage import Stage


@dataclass(frozen=True)
class Finished:
    """A finished job and its released version."""

    record: JobRecord
    version: int
    model_id: int

    @property
    def job_id(self) -> int:
        return self.record.job_id

    @property
    def rounds(self) -> int:
        return self.record.proposal.rounds

    @property
    def name(self) -> str:
        """As the command line names the version."""
        return f"{self.model_id}@{self.version}"

    @staticmethod
    def leaves(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The innermost checks of what `salus trace --json` printed."""
        for check in document["checks"]:
            yield from Finished.leaves(check) if check["checks"] else [check]


def tell(stage: Stage) -> Finished:
    """Four nodes train four rounds; token holders release the version."""
    job_id = stage.propose(rounds=4)
    stage.start(*stage.hospitals)
    record = stage.finish(job_id, timeout=300)
    version = record.ended.args["version"]
    assert Models(stage.chain).version(stage.model_id, version).status == ModelStatus.CANDIDATE
    stage.vote([Call("ModelRegistry", "release", (stage.model_id, version))], f"Release version {version}")
    return Finished(record, version, stage.model_id)
