"""The verifier: re-checks a model version from chain and IPFS alone, with no key and no permission.

It trusts the chain to have run the contracts, and nothing else: events are held against what the contracts store,
every document and vector is fetched by its digest and matched, every merge is computed again from the updates, every
update is held against a consent that was live and matching at its place in the chain, and the vote, the release and
the payments are followed to the last unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from protocol.chain.client import Chain
from protocol.chain.consents import Consents
from protocol.chain.datasets import Datasets
from protocol.chain.enums import JobStatus, ModelStatus
from protocol.chain.jobs import Jobs, Participant
from protocol.chain.models import Models, VectorDigests, Version
from protocol.content import canonical, digests, vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.errors import ChainError, InvalidInput, SalusError
from protocol.learning.merge import merge
from protocol.proposal import differences
from protocol.record import JobRecord, Merge, Update
from protocol.spec import JobSpec
from protocol.trace.bounds import check_bound, update_bounds
from protocol.trace.check import Check
from protocol.trace.consent import ConsentLife
from protocol.trace.evidence import Evidence
from protocol.trace.payments import check_payments
from protocol.trace.release import check_release


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
    return _Tracer(chain, ipfs, progress).version(model_id, version)


class _Tracer:
    def __init__(self, chain: Chain, ipfs: Ipfs, progress: Callable[[str], None]) -> None:
        self.evidence = Evidence(chain, ipfs)
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
        record = self._record(root, stored.job_id)
        if record is not None:
            self._job(root, record, model_id, number, stored)
            check_payments(self.evidence, root, record)
        check_release(self.evidence, root, model_id, number, stored.status)
        return root

    def _record(self, parent: Check, job_id: int) -> JobRecord | None:
        """A finished job's history, held against what the contract stores: a node may leave events out."""
        record, history = JobRecord(job_id), self.evidence.events("TrainingJobs", jobId=job_id)
        name = "the job's events are complete and agree with what the contract stores"
        try:
            record.apply(history)
        except ChainError as error:
            parent.add(name, False, error.message)
            return None
        self.chain.clock.read_timestamps(each.block for each in history if each.name == "UpdateSubmitted")
        job = Jobs(self.chain).job(job_id)
        if record.proposal is None or record.proposal.rounds != job.rounds:
            parent.add(name, False, "no event proposes it")
            return None
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
        if (job.status, job.final_rounds, job.spec_digest) != (
            JobStatus.FINISHED,
            job.rounds,
            record.proposal.spec_digest,
        ):
            differing.append("its spec or its end")
        parent.add(name, not differing, ", ".join(differing))
        return None if differing else record

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
        for each in range(1, record.proposal.rounds + 1):
            self.progress(f"job {record.job_id}, round {each} of {record.proposal.rounds}")
            state = self._round(node, record, spec, consents, each, state)
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
        parent.add(
            f"privacy: {spec.privacy.mechanism}",
            True,
            "updates lie unmasked on IPFS" if spec.privacy.mechanism == "none" else "",
        )
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

    def _round(
        self,
        parent: Check,
        record: JobRecord,
        spec: JobSpec,
        consents: dict[int, ConsentLife],
        number: int,
        state: np.ndarray | None,
    ) -> np.ndarray | None:
        """One round: its updates, their consents, the merge computed again, who attested; returns the next state."""
        rounds = record.round(number)
        node = parent.add(f"round {number}")
        posted = rounds.merge
        if posted is None:
            node.add("merged", False, "no merge stands")
            return None
        members = record.members(rounds.attempts[posted.attempt].participants)
        asked = set(members)
        bounds = update_bounds(spec, {each: record.participants[each].train_records for each in members})
        fetched = []
        for update in rounds.merged_updates:
            branch = node.add(f"update of hospital {update.hospital_id}")
            consent = consents[record.participants[update.hospital_id].consent_id]
            x = self._update(branch, record, consent, update, state)
            if x is not None and spec.privacy.mechanism == "none":
                check_bound(branch, x, bounds.get(update.hospital_id, 0.0))
            fetched.append(x)
        came = {update.hospital_id for update in rounds.merged_updates}
        node.add(
            "every participant's update is merged, each once", asked == came and len(came) == len(fetched)
        )
        accumulator = reduce(
            lambda a, update: digests.accumulate(a, update.hospital_id, update.ref.cid, update.ref.root),
            rounds.merged_updates,
            digests.accumulator_start(record.job_id, number, posted.attempt),
        )
        digest = digests.merge_digest(
            record.job_id, number, posted.attempt, accumulator, posted.state.cid, posted.state.root
        )
        node.add("the merge's digest binds these updates to this state", digest == posted.digest)
        following = self._merge(node, spec, posted, fetched, state)
        self._attestations(node, record, posted, asked)
        return following

    def _update(
        self, parent: Check, record: JobRecord, consent: ConsentLife, update: Update, state: np.ndarray | None
    ) -> np.ndarray | None:
        participant = record.participants[update.hospital_id]
        timestamp = self.chain.timestamp(update.event.block)
        reasons = consent.reasons_against(
            update.event, timestamp, update.hospital_id, record.proposal.purpose
        )
        if update.epsilon_total_micro > consent.terms.epsilon_budget_micro:
            reasons.append("more epsilon than its budget")
        parent.add(
            f"consent {participant.consent_id} was live and matched in block {update.event.block}",
            not reasons,
            "; ".join(reasons),
        )
        return self.evidence.vector(parent, "bytes", update.ref, None if state is None else len(state))

    def _merge(
        self,
        parent: Check,
        spec: JobSpec,
        posted: Merge,
        updates: list[np.ndarray | None],
        state: np.ndarray | None,
    ) -> np.ndarray | None:
        lanes = None if state is None else len(state)
        claimed = self.evidence.vector(parent, "state", posted.state, lanes)
        if state is None or not updates or any(update is None for update in updates):
            parent.add("the merge, computed again", False, "the state before it or an update is missing")
            return claimed
        computed = merge(state, updates, spec.merge.server_step)
        same = vectors.reference(computed) == posted.state
        parent.add(
            "the merge, computed again", same, "the same bytes" if same else "another state than was posted"
        )
        return computed if same else claimed

    def _attestations(self, parent: Check, record: JobRecord, posted: Merge, asked: set[int]) -> None:
        needed = -(-2 * len(asked) // 3)
        attested = posted.attested & asked
        if len(attested) >= needed:
            parent.add("final", True, f"attested by {len(attested)} of {len(asked)}, {needed} are needed")
            return
        silent = (
            posted.final is not None
            and not posted.rejected
            and (
                self.chain.timestamp(posted.final.block)
                >= self.chain.timestamp(posted.event.block) + record.proposal.phases.check
            )
        )
        detail = f"attested by {len(attested)} of {len(asked)}; "
        parent.add(
            "final",
            silent,
            detail + ("its check window passed in silence" if silent else "never became final"),
        )

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
        node.add("this version is what came of it", bool(ended) and ended["version"] == number)
        gate = record.proposal.gate_bps
        node.add(
            "the gate was passed",
            bool(ended.get("passed")) and correct * 10_000 >= gate * total and total > 0,
            f"{correct * 100 / max(total, 1):.2f} %, the gate is {gate / 100:.2f} %",
        )
