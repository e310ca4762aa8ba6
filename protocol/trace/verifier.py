"""The verifier: re-checks a model version from chain and IPFS alone, with no key and no permission.

It trusts the chain to have run the contracts, and nothing else: events are held against what the contracts store,
every document and vector is fetched by its digest and matched, every merge is computed again from the updates, every
update is held against a consent that was live and matching at its place in the chain, groups are drawn again, and the
vote, the release, bonds and payments are followed to the last unit. Masks cancel in the sums: none of it needs a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from protocol.chain.client import Chain
from protocol.chain.consents import Consents
from protocol.chain.datasets import Datasets
from protocol.chain.enums import JobStatus, ModelStatus
from protocol.chain.events import Event
from protocol.chain.jobs import Jobs, Participant
from protocol.chain.models import Models, VectorDigests, Version
from protocol.content import canonical, digests
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.errors import ChainError, InvalidInput, SalusError
from protocol.proposal import differences
from protocol.record import JobRecord
from protocol.spec import JobSpec
from protocol.trace.bonds import check_bonds
from protocol.trace.check import Check
from protocol.trace.consent import ConsentLife
from protocol.trace.epsilon import check_epsilon
from protocol.trace.evidence import Evidence
from protocol.trace.keys import check_keys
from protocol.trace.payments import check_payments
from protocol.trace.release import check_release
from protocol.trace.rounds import Rounds

UNMASKED = "updates lie unmasked on IPFS"
MASKED = (
    "nobody can read an update of one hospital, so nobody can check here that it stays within the clip norm: only the"
    " sums of its group can be checked"
)


def trace(
    chain: Chain,
    ipfs: Ipfs,
    model_id: int,
    version: int,
    progress: Callable[[str], None] = lambda _line: None,
) -> Check:
    """Re-checks a version and its lineage down to the base.

    Raises only when it cannot look: no chain, no IPFS daemon, no version. Content that cannot be had does not hold.
    """
    ipfs.check()
    with TemporaryDirectory(prefix="salus-trace-") as folder:
        return _Tracer(Evidence(chain, ipfs, Path(folder)), progress).version(model_id, version)


class _Tracer:
    def __init__(self, evidence: Evidence, progress: Callable[[str], None]) -> None:
        self.evidence = evidence
        self.chain, self.progress = self.evidence.chain, progress
        self.models = Models(self.chain)

    def version(self, model_id: int, number: int) -> Check:
        """A version: its base, its job, its release."""
        stored = self.models.version(model_id, number)
        created = self.evidence.events("ModelRegistry", ["ModelCreated"], modelId=model_id)
        name = f" ({created[0].args['name']})" if created else ""
        root = Check(f"model {model_id}{name}, version {number}", detail=stored.status.name.lower())
        added = self.evidence.events("ModelRegistry", ["VersionAdded"], modelId=model_id, version=number)
        root.add(
            "the record of the chain agrees with its events",
            len(created) == len(added) == 1
            and added[0].args["jobId"] == stored.job_id
            and added[0].args["parent"] == stored.parent
            and (added[0].args["state"]["cid"], added[0].args["state"]["root"])
            == (stored.state.cid, stored.state.root),
        )
        ref = VectorRef(stored.state.cid, stored.state.root)
        if stored.status == ModelStatus.BASE or not stored.job_id:
            self.evidence.vector(root, "base state", ref, None)
            return root
        if not 0 < stored.parent < number:
            root.add("its base came before it", False, f"version {stored.parent}")
            return root
        root.children.append(self.version(model_id, stored.parent))
        record, history = JobRecord(stored.job_id), self.evidence.events("TrainingJobs", jobId=stored.job_id)
        if self._read(root, record, history):
            self._job(root, record, model_id, number, stored)
            check_bonds(self.evidence, root, record, history)
            check_payments(self.evidence, root, record)
        check_release(self.evidence, root, model_id, number, stored.status)
        return root

    def _read(self, parent: Check, record: JobRecord, history: list[Event]) -> bool:
        """Reads a finished job's history, held against what the contract stores: a node may leave events out."""
        job_id = record.job_id
        jobs = self.chain.address("TrainingJobs")
        challenges = self.evidence.events("Challenges", jobs=jobs, jobId=job_id)
        name = "the job's events are complete and agree with what the contract stores"
        try:
            record.apply(sorted([*history, *challenges], key=lambda event: event.place))
        except ChainError as error:
            parent.add(name, False, error.message)
            return False
        self.chain.clock.read_timestamps(each.block for each in history if each.name == "UpdateSubmitted")
        job = Jobs(self.chain).job(job_id)
        if record.proposal is None or record.proposal.rounds != job.rounds:
            parent.add(name, False, "no event proposes it")
            return False
        numbers = range(1, job.rounds + 1)
        stored = self.chain.call_many(("TrainingJobs", "mergeDigest", (job_id, each)) for each in numbers)
        posted = [record.round(each).merge for each in numbers]
        differing = [
            f"the merge of round {number}"
            for number, merged, digest in zip(numbers, posted, stored, strict=True)
            if merged is None or merged.digest != digest
        ]
        places = self.chain.call_many(
            ("TrainingJobs", "participant", (job_id, each)) for each in record.participants
        )
        if [Participant.of(each) for each in places] != list(record.participants.values()) or (
            job.enrolled != len(places)
        ):
            differing.append("who enrolled")
        if (job.status, job.final_rounds, job.spec_digest, job.merge) != (
            JobStatus.FINISHED,
            job.rounds,
            record.proposal.spec_digest,
            record.proposal.merge,
        ):
            differing.append("its spec or its end")
        parent.add(name, not differing, ", ".join(differing))
        return not differing

    def _job(self, parent: Check, record: JobRecord, model_id: int, number: int, version: Version) -> None:
        """A job from its spec to its gate, and that the version is what came of it."""
        node = parent.add(f"job {record.job_id}")
        node.add(
            "it trained this model from this version's base",
            (record.proposal.model_id, record.proposal.base_version) == (model_id, version.parent),
        )
        base = self.models.version(model_id, version.parent).state
        spec = self._spec(node, record, base)
        if spec is None:
            return
        state = self.evidence.vector(
            node, "the state that it starts from", VectorRef(base.cid, base.root), None
        )
        consents = self._consents(node, record)
        if consents is None:
            return
        self._enrolments(node, record, spec, consents)
        check_keys(self.evidence, node, record)
        check_epsilon(node, record, spec, consents)
        rounds = Rounds(self.evidence, record, spec, consents)
        for each in range(1, record.proposal.rounds + 1):
            self.progress(f"job {record.job_id}, round {each} of {record.proposal.rounds}")
            state = rounds.check(node, each, state)
        outcome = VectorRef(version.state.cid, version.state.root)
        self._outcome(node, record, outcome, number)
        last = record.round(record.proposal.rounds).merge
        parent.add(
            "the version's state is the last merge of its job",
            last is not None and last.state == outcome,
            to_cid(outcome.cid),
        )

    def _spec(self, parent: Check, record: JobRecord, base: VectorDigests) -> JobSpec | None:
        proposal = record.proposal
        data = self.evidence.document(parent, "the job spec is what the proposal names", proposal.spec_digest)
        if data is None:
            return None
        try:
            spec = JobSpec.parse(data)
        except SalusError as error:
            parent.add("the job spec is valid", False, str(error))
            return None
        differing = differences(spec, proposal, base)
        parent.add("the chain's terms are the spec's", not differing, "; ".join(differing))
        parent.add(f"privacy: {spec.privacy.mechanism}", True, MASKED if spec.masked else UNMASKED)
        return spec

    def _consents(self, parent: Check, record: JobRecord) -> dict[int, ConsentLife] | None:
        """The consents of those who enrolled, each held against what the contract stores of it."""
        lives: dict[int, ConsentLife] = {}
        differing = []
        for consent_id in {participant.consent_id for participant in record.participants.values()}:
            found = self.evidence.events("ConsentToken", consentId=consent_id)
            life = ConsentLife.of(found)
            stored = Consents(self.chain).consent(consent_id)
            if life is None or (life.hospital_id, life.terms, len(life.uses), life.revoked is not None) != (
                stored.hospital_id,
                stored.terms,
                stored.rounds_used,
                stored.revoked,
            ):
                differing.append(f"consent {consent_id}")
            else:
                lives[consent_id] = life
        name = "the consents' events are complete and agree with what the contract stores"
        parent.add(name, not differing, ", ".join(differing))
        return None if differing else lives

    def _enrolments(
        self, parent: Check, record: JobRecord, spec: JobSpec, consents: dict[int, ConsentLife]
    ) -> None:
        node = parent.add(f"{len(record.participants)} hospitals enrolled with their own data")
        for hospital_id, participant in record.participants.items():
            versions = self.evidence.events(
                "DatasetRegistry", ["DatasetVersionRegistered"], datasetId=participant.dataset_id
            )
            pinned = next(
                (each for each in versions if each.args["version"] == participant.dataset_version), None
            )
            name = f"hospital {hospital_id}: dataset {participant.dataset_id}, version {participant.dataset_version}"
            if pinned is None or pinned.place > record.enrolments[hospital_id].place:
                node.add(name, False, "was not registered before it enrolled")
                continue
            content = pinned.args["content"]
            reasons = []
            if pinned.args["hospitalId"] != hospital_id:
                reasons.append(f"it belongs to hospital {pinned.args['hospitalId']}")
            if consents[participant.consent_id].terms.dataset_id != participant.dataset_id:
                reasons.append(f"consent {participant.consent_id} is for another dataset")
            if (content["trainRecords"], content["heldOutRecords"]) != (
                participant.train_records,
                participant.held_out_records,
            ):
                reasons.append("the counts pinned at enrolment are not the version's")
            if not self._is_committed(participant, content):
                reasons.append("the registry committed to another version")
            if content["schemaDigest"] != spec.schema_digest:
                reasons.append("its schema is not the spec's")
            node.add(name, not reasons, "; ".join(reasons) or f"{content['trainRecords']} training records")

    def _is_committed(self, participant: Participant, content: Mapping[str, Any]) -> bool:
        """Whether the event says what the registry keeps: counts, and one digest of all the rest."""
        kept = Datasets(self.chain).version(participant.dataset_id, participant.dataset_version)
        commitment = digests.dataset_commitment(
            content["root"], content["schemaDigest"], content["profile"], content["evidenceDigest"]
        )
        counts = (content["trainRecords"], content["heldOutRecords"])
        return (kept.commitment, kept.train_records, kept.held_out_records) == (commitment, *counts)

    def _outcome(self, parent: Check, record: JobRecord, outcome: VectorRef, number: int) -> None:
        """Reports, their documents, the gate, and the candidate that came of it."""
        node = parent.add("reports and gate")
        asked = set(record.members(record.reporting.args["participants"])) if record.reporting else set()
        needed = min(record.proposal.min_hospitals, len(asked))
        node.add(
            "reported by hospitals that were asked, and by enough of them",
            set(record.reports) <= asked and len(record.reports) >= needed > 0,
            f"{len(record.reports)} of {len(asked)}, {needed} are needed",
        )
        for report in record.reports.values():
            name = f"hospital {report.hospital_id}: {report.correct} of {report.total} right"
            participant = record.participants[report.hospital_id]
            document = self.evidence.document(node, name, report.metrics)
            node.add(f"{name}: on all of its held-out records", report.total == participant.held_out_records)
            if document is not None:
                try:
                    stated = canonical.loads(document)
                    same = (stated["correct"], stated["total"]) == (report.correct, report.total)
                    same = same and stated["state"] == to_cid(outcome.cid)
                    same = same and (stated["job"], stated["hospital"]) == (record.job_id, report.hospital_id)
                except (InvalidInput, KeyError, TypeError):
                    same = False
                node.add(f"{name}: the metrics document says the same, of this state", same)
        correct = sum(report.correct for report in record.reports.values())
        total = sum(report.total for report in record.reports.values())
        ended = record.ended.args if record.ended and record.ended.name == "JobFinished" else {}
        node.add(
            "the job finished with the sum of its reports",
            bool(ended) and (ended["correct"], ended["total"]) == (correct, total),
            f"{correct} of {total}",
        )
        self._window(node, record)
        node.add("this version is what came of it", bool(ended) and ended["version"] == number)
        gate = record.proposal.gate_bps
        node.add(
            "the gate was passed",
            bool(ended.get("passed")) and correct * 10_000 >= gate * total and total > 0,
            f"{correct * 100 / max(total, 1):.2f} %, the gate is {gate / 100:.2f} %",
        )

    def _window(self, parent: Check, record: JobRecord) -> None:
        """Invariant 5: fraud could be proved for the whole window after the last merge before anything came of it."""
        last, ended = record.round(record.proposal.rounds).merge, record.ended
        if last is None or ended is None:
            parent.add("it finished after the window in which fraud could be proved", False, "it did not end")
            return
        seconds = self.chain.timestamp(ended.block) - self.chain.timestamp(last.event.block)
        window = record.proposal.phases.check
        parent.add(
            "it finished after the window in which fraud could be proved",
            seconds >= window,
            f"{seconds:,} s after the last merge, the window is {window:,} s",
        )
