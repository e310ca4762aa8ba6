"""Which models learned from versions of a dataset that held a patient who withdrew. What they learned stays in them;
with their list the hospital can go to the DAO, which may withdraw a release."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from protocol.chain import jobs, models
from protocol.chain.client import Chain
from protocol.chain.datasets import Datasets
from protocol.chain.enums import ModelStatus
from protocol.chain.events import Event, events
from protocol.chain.models import Models


@dataclass(frozen=True)
class ModelUse:
    """A model version and the job that made it. ``dataset_versions``: those that the job had pinned; none of a version
    that only goes back to one whose job had."""

    model_id: int
    version: int
    job_id: int
    status: ModelStatus
    dataset_versions: list[int]


def models_that_used(chain: Chain, dataset_id: int, roots: Collection[bytes]) -> list[ModelUse]:
    """Model versions, candidates to withdrawn ones, whose jobs pinned a version of the dataset with one of these Merkle
    roots, and the versions that go back to them, in the order of the chain. Raises Refused (UnknownDataset)."""
    numbers = {each.number for each in Datasets(chain).versions(dataset_id) if each.version.root in roots}
    hospital_id = Datasets(chain).hospital_of(dataset_id)
    pinned: dict[int, list[int]] = {}
    for event in events(chain, jobs.CONTRACT, ["Enrolled"], hospitalId=hospital_id):
        place = event.args["participant"]
        if place["datasetId"] == dataset_id and place["datasetVersion"] in numbers:
            pinned.setdefault(event.args["jobId"], []).append(place["datasetVersion"])
    return [
        ModelUse(model_id, version, job_id, _status(chain, model_id, version), pinned.get(job_id, []))
        for model_id, version, job_id in _descended(events(chain, models.CONTRACT, ["VersionAdded"]), pinned)
    ]


def _descended(added: Iterable[Event], of_jobs: Collection[int]) -> list[tuple[int, int, int]]:
    """Model, version and job of each version that one of these jobs made, or that goes back to such a version."""
    found: dict[tuple[int, int], int] = {}
    for event in added:
        model_id, job_id = event.args["modelId"], event.args["jobId"]
        if job_id in of_jobs or (model_id, event.args["parent"]) in found:
            found[model_id, event.args["version"]] = job_id
    return [(*version, job_id) for version, job_id in found.items()]


def _status(chain: Chain, model_id: int, version: int) -> ModelStatus:
    return Models(chain).version(model_id, version).status
