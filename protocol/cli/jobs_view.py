"""Jobs as people and programs see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from protocol.cli.output import PRIVACY_NONE, facts, moment, percent, table, tokens
from protocol.content.cid import to_cid
from protocol.record import Attempt, JobRecord, RoundRecord

if TYPE_CHECKING:
    from protocol.chain.bonds import Bond
    from protocol.chain.client import Chain
    from protocol.chain.events import Event
    from protocol.client import Match
    from protocol.costs import JobCost
    from protocol.learning.zoo import Cost
    from protocol.results import JobOverview, Reported
    from protocol.spec import JobSpec

METRICS = ("loss", "auc", "sensitivity", "specificity", "brier")
MIB = 1024 * 1024


def privacy_notices(spec: JobSpec | None) -> list[str]:
    """What every command that touches a job without privacy repeats."""
    return [PRIVACY_NONE] if spec is not None and spec.privacy.mechanism == "none" else []


def privacy_words(spec: JobSpec) -> str:
    """Masks, and whom differential privacy protects how well."""
    dp = spec.privacy.dp
    if dp is None:
        return f"{spec.privacy.mechanism}, no differential privacy"
    return (
        f"{spec.privacy.mechanism}, differential privacy of each {dp.unit}: noise {dp.noise_multiplier:g}, gradients"
        f" within {dp.max_grad_norm:g}, delta {dp.delta:g}, {dp.accountant} accountant"
    )


def unmasked_notices(found: Sequence[JobOverview]) -> list[str]:
    """The same for several jobs."""
    return [f"job {each.job_id}: {notice}" for each in found for notice in privacy_notices(each.spec)]


# -- specs -----------------------------------------------------------------------------------------------------------


def spec_document(spec: JobSpec) -> dict[str, Any]:
    """A spec for programs: its names, and itself."""
    return {
        "cid": to_cid(spec.digest),
        "digest": spec.digest,
        "privacy": spec.privacy.mechanism,
        "spec": spec.to_dict(),
    }


def spec_facts(spec: JobSpec) -> dict[str, object]:
    """A spec for people."""
    purpose, split, optimiser = spec.purpose, spec.split, spec.training.optimiser
    mondo = f", MONDO:{purpose.mondo:07d}" if purpose.mondo else ""
    pledges = f", pledging {' '.join(purpose.pledges)}" if purpose.pledges else ""
    return {
        "title": spec.title,
        "spec": to_cid(spec.digest),
        "architecture": f"{spec.model.architecture}, {_parameters(spec.model.parameters)}",
        "training": f"{spec.rounds} rounds of {spec.training.local_epochs} local epochs, {optimiser.name} at"
        f" {optimiser.learning_rate:g}, batches of {spec.training.batch_size}, {spec.training.loss}",
        "privacy": privacy_words(spec),
        "merge": _merge_words(spec),
        "purpose": f"{purpose.permission}{mondo}{pledges}",
        "hospitals": f"{spec.hospitals.min} to {spec.hospitals.max}",
        "gate": f"{spec.gate.accuracy_bps / 100:g} % right over all held-out records",
        "split": f"hospitals {split.hospitals / 100:g} %, caregivers {split.caregivers / 100:g} %, patients"
        f" {split.patients / 100:g} %, merger {split.merger / 100:g} %, DAO {split.dao / 100:g} %",
        "kept until": moment(spec.retain_until),
    }


def matches_table(matches: Sequence[Match]) -> Any:
    """Whose consents would allow it, and why the others would not."""
    return table(
        [">hospital", ">dataset", ">consent", "matches", "why not"],
        (
            (m.hospital_id, m.dataset_id, m.consent_id, "yes" if m.allowed else "no", m.reason)
            for m in matches
        ),
        title="Consents",
        empty="No consent has been minted yet.",
    )


def cost_facts(cost: JobCost, gas_price_wei: int, machine: Cost) -> Any:
    """What it costs, in gas and money, and what it asks of a machine."""

    def money(gas: int) -> str:
        return f"{gas:,} gas, {gas * gas_price_wei / 1e18:.6f} ether at {gas_price_wei / 1e9:.3f} gwei"

    return facts(
        {
            "to propose": money(cost.researcher),
            "a hospital, at most": money(cost.hospital),
            "all together": money(cost.total),
            "parameters": f"{machine.parameters:,}",
            "each state or update": f"{machine.state_bytes:,} bytes on IPFS",
            "memory to train": f"{machine.memory_bytes / MIB:,.1f} MiB besides torch itself",
        }
    )


# -- jobs ------------------------------------------------------------------------------------------------------------


def status_word(found: JobOverview) -> str:
    """Enrolling, running, paused …"""
    return found.job.status.name.lower()


def summary_document(found: JobOverview) -> dict[str, Any]:
    """A job in a few fields."""
    job, proposal = found.job, found.record.proposal
    return {
        "job_id": found.job_id,
        "title": found.spec.title if found.spec else None,
        "status": status_word(found),
        "round": job.round,
        "rounds": job.rounds,
        "final_rounds": job.final_rounds,
        "enrolled": job.enrolled,
        "model": job.model_id,
        "base_version": job.base_version,
        "researcher": job.purpose.researcher,
        "privacy": found.spec.privacy.mechanism if found.spec else None,
        "spec_cid": to_cid(job.spec_digest),
        "reward_token": proposal.reward_token,
        "reward_amount": str(proposal.reward_amount),
        "problem": found.problem,
    }


def summary_table(found: Sequence[JobOverview]) -> Any:
    """One job a line."""
    return table(
        [">job", "title", "status", ">round", ">hospitals", ">model", ">reward", "privacy"],
        (
            (
                each.job_id,
                each.spec.title if each.spec else f"? {each.problem}",
                status_word(each),
                f"{min(each.job.round, each.job.rounds)}/{each.job.rounds}",
                f"{each.job.enrolled} of {each.job.min_hospitals}–{each.job.max_hospitals}",
                f"{each.job.model_id}@{each.job.base_version}",
                tokens(each.record.proposal.reward_amount),
                each.spec.privacy.mechanism if each.spec else "?",
            )
            for each in found
        ),
        empty="There is no such job.",
    )


def overview_document(found: JobOverview) -> dict[str, Any]:
    """All of a job."""
    record = found.record
    return {
        **summary_document(found),
        "spec": spec_document(found.spec) if found.spec else None,
        "phases": found.job.phases,
        "hospitals": [
            {
                "hospital_id": each,
                **vars(record.participants[each]),
                "mask_key": record.mask_keys.get(each),
                "bond": _bond_document(found.bonds.get(each)),
            }
            for each in record.hospital_ids
        ],
        "rounds": [
            round_document(record, number, each) for number, each in sorted(record.rounds.items()) if number
        ],
        "challenges": [
            {
                "round": each.round,
                "challenger": each.challenger_id,
                "chunk_index": each.chunk_index,
                "proven": each.proven,
                "tx_hash": each.event.tx_hash,
            }
            for each in record.challenges
        ],
        "reports": [vars(each) | {"accuracy": each.accuracy} for each in found.reports],
        "passed": record.ended.args.get("passed") if record.ended else None,
        "version": record.ended.args.get("version") if record.ended else None,
    }


def round_document(record: JobRecord, number: int, found: RoundRecord) -> dict[str, Any]:
    """One round."""
    merge = found.merge
    attempt = found.attempts[merge.attempt] if merge else found.newest
    return {
        "round": number,
        "attempts": len(found.attempts),
        "participants": record.members(attempt.participants) if attempt else [],
        "groups": record.groups(attempt) if attempt and attempt.drawing else None,
        "doubts": {str(each): sorted(by) for each, by in attempt.doubts.items()} if attempt else {},
        "dropped": sorted({each for one in found.attempts.values() for each in one.dropped}),
        "updates": [
            {"hospital_id": each.hospital_id, "cid": to_cid(each.ref.cid), "tx_hash": each.event.tx_hash}
            for each in (attempt.updates if attempt else [])
        ],
        "merger": merge.hospital_id if merge else None,
        "state_cid": to_cid(merge.state.cid) if merge else None,
        "attested": sorted(merge.attested) if merge else [],
        "rejected": sorted(merge.rejected) if merge else [],
        "voided_merges": sum(each.voided for each in found.merges),
        "final": bool(merge and merge.final),
    }


def overview(found: JobOverview) -> list[Any]:
    """All of a job, for people."""
    job, record = found.job, found.record
    top = {
        "job": f"{found.job_id}, {status_word(found)} since {moment(job.since)}",
        "researcher": job.purpose.researcher,
        "model": f"{job.model_id}@{job.base_version}",
        "reward": f"{tokens(record.proposal.reward_amount)} of {record.proposal.reward_token}",
    }
    if found.spec is None:
        top["spec"] = f"{to_cid(job.spec_digest)} cannot be read: {found.problem}"
    else:
        top |= spec_facts(found.spec)
    view: list[Any] = [
        facts(top),
        table(
            [">hospital", ">dataset", ">consent", ">training records", ">held out", "bond"],
            (
                (each, f"{place.dataset_id}@{place.dataset_version}", place.consent_id, place.train_records,
                 place.held_out_records, _bond_words(found, each))
                for each in record.hospital_ids
                for place in [record.participants[each]]
            ),
            empty="No hospital has enrolled yet.",
        ),
    ]  # fmt: skip
    rounds = [(number, each) for number, each in sorted(record.rounds.items()) if each.attempts]
    if rounds:
        view.append(
            table(
                [">round", ">attempt", "updates of", "missing", "merger", "attested by", "final", "notes"],
                (_round_row(record, number, each) for number, each in rounds),
            )
        )
    if record.challenges:
        view.append(_challenges_table(record))
    if found.reports:
        view.append(reports_table(found.reports))
    if record.ended:
        view.append(_ending(found))
    return view


def reports_table(reports: Sequence[Reported]) -> Any:
    """Metrics of each hospital on its held-out records, worst first, and all together."""
    rows: list[list[object]] = [
        [
            each.hospital_id,
            f"{each.correct}/{each.total}",
            f"{each.accuracy:.3f}",
            *_metrics(each),
            each.problem,
        ]
        for each in reports
    ]
    correct, total = sum(each.correct for each in reports), sum(each.total for each in reports)
    rows.append(
        ["all", f"{correct}/{total}", f"{correct / total:.3f}" if total else "—", *[""] * (len(METRICS) + 1)]
    )
    return table(
        ["hospital", ">right", ">accuracy", *(f">{name}" for name in METRICS), "problem"],
        rows,
        title="Held-out records, worst hospital first",
    )


def where(record: JobRecord) -> str:
    """Where a running job stands, in a line."""
    if record.reporting:
        return f"Job {record.job_id}: {len(record.reports)} reports are in"
    number, attempt = record.open_round, record.round(record.open_round).newest
    if attempt is None:
        return f"Job {record.job_id}: {len(record.participants)} hospitals have enrolled"
    asked = len(record.members(attempt.participants))
    total = record.proposal.rounds
    return f"Job {record.job_id}: round {number} of {total}, {len(attempt.updates)} of {asked} updates are in"


def event_line(chain: Chain, record: JobRecord, event: Event) -> str:
    """An event of a job in words; empty for those that say nothing new."""
    args = event.args
    number, hospital = args.get("round"), args.get("hospitalId")
    match event.name:
        case "JobProposed":
            said = "proposed"
        case "Enrolled":
            said = f"hospital {hospital} enrolled"
        case "AttemptOpened":
            members = ", ".join(map(str, record.members(args["participants"])))
            said = f"round {number}, attempt {args['attempt']}: open to hospitals {members}"
        case "GroupsDrawn":
            drawn = record.groups(record.round(number).newest)
            said = f"round {number}: groups " + ", ".join(_ids(group) for group in drawn)
        case "Doubted":
            said = f"round {number}: hospital {args['by']} doubts the update of hospital {hospital}"
        case "Dropped":
            said = f"round {number}: the update of hospital {hospital} is dropped"
        case "UpdateSubmitted":
            said = f"round {number}: update of hospital {hospital}"
        case "Merged":
            said = f"round {number}: merged by hospital {hospital}"
        case "Rejected":
            said = f"round {number}: hospital {hospital} rejects the merge"
        case "MergeVoided":
            said = f"round {number}: the merge is void, with all that was built on it"
        case "RoundFinal":
            said = f"round {number}: final"
        case "JobPaused":
            said = f"paused in round {number}: too few hospitals are live"
        case "Rejoined":
            said = f"hospital {hospital} is back"
        case "Reported":
            said = f"hospital {hospital} reports {args['correct']} of {args['total']} right"
        case "JobFinished":
            outcome = (
                f"version {args['version']} is a candidate" if args["passed"] else "the gate was not passed"
            )
            said = f"finished: {percent(args['correct'], args['total'])} right, {outcome}"
        case "JobCancelled":
            said = f"cancelled after {args['finalRounds']} final rounds"
        case _:
            return ""
    return f"{moment(chain.timestamp(event.block))}  {said}"


def _round_row(record: JobRecord, number: int, found: RoundRecord) -> list[object]:
    merge = found.merge
    latest = merge.attempt if merge else max(found.attempts)
    attempt = found.attempts[latest]
    came = [each.hospital_id for each in attempt.updates]
    missing = [each for each in record.members(attempt.participants) if each not in came]
    return [
        number,
        latest,
        _ids(came),
        _ids(missing),
        merge.hospital_id if merge else ("void" if found.merges else ""),
        _ids(sorted(merge.attested)) if merge else "",
        "yes" if merge and merge.final else "",
        "; ".join(_notes(record, found, attempt)),
    ]


def _notes(record: JobRecord, found: RoundRecord, attempt: Attempt) -> list[str]:
    """What is out of the ordinary in a round."""
    notes = []
    if attempt.drawing:
        notes.append("groups " + ", ".join(_ids(group) for group in record.groups(attempt)))
    for one in found.attempts.values():
        notes += [f"hospital {each} was dropped" for each in one.dropped]
    for each in found.merges:
        if each.voided:
            notes.append(f"the merge of hospital {each.hospital_id} was voided")
    return notes


def _challenges_table(record: JobRecord) -> Any:
    return table(
        [">round", "by", ">chunk", "proven"],
        (
            (each.round, f"hospital {each.challenger_id}", each.chunk_index, "yes" if each.proven else "no")
            for each in record.challenges
        ),
        title="Challenges",
    )


def _bond_document(bond: Bond | None) -> dict[str, Any] | None:
    """A bond that is locked; None when none is: before, after, or because it was lost."""
    if bond is None or not bond.exists:
        return None
    return {"token": bond.token, "amount": str(bond.amount)}


def _bond_words(found: JobOverview, hospital_id: int) -> str:
    bond = found.bonds.get(hospital_id)
    if bond is None or not bond.exists:
        return "none"
    return f"{tokens(bond.amount)} locked"


def _ending(found: JobOverview) -> str:
    args = found.record.ended.args
    if found.record.ended.name == "JobCancelled":
        return f"Cancelled after {args['finalRounds']} final rounds; the rest of the reward was refunded."
    right = f"{args['correct']} of {args['total']} right ({percent(args['correct'], args['total'])})"
    if args["passed"]:
        return f"Finished: {right}. Version {found.job.model_id}@{args['version']} is its outcome."
    return f"Finished: {right}. The gate of {found.job.gate_bps / 100:g} % was not passed; no version came of it."


def _merge_words(spec: JobSpec) -> str:
    merge = spec.merge
    step = "" if merge.server_step == 1 << 16 else f", server step {merge.server_step / (1 << 16):g}"
    if merge.groups == 1:
        return f"{merge.rule} over all{step}"
    return f"{merge.rule} across at most {merge.groups} groups of at least three, drawn each round{step}"


def _parameters(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _metrics(each: Reported) -> list[str]:
    values = (each.metrics.get(name) for name in METRICS)
    return [f"{value:.3f}" if isinstance(value, int | float) else "—" for value in values]


def _ids(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))
