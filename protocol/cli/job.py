"""``salus job``: training jobs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli import jobs_view
from protocol.cli.arguments import (
    EXISTING_FILE,
    ID,
    NEW_FILE,
    AddressType,
    AmountType,
    DurationType,
    ModelVersion,
    ModelVersionType,
    signing,
)
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, next_commands, table, tokens, warn, working
from protocol.cli.session import Session
from protocol.errors import InvalidInput

if TYPE_CHECKING:
    from protocol.content.vectors import VectorRef
    from protocol.spec import JobSpec

NOBODY = "0x" + "00" * 20


@click.group(cls=Group)
def job() -> None:
    """Training jobs: a researcher proposes one with its reward in escrow; hospitals whose consents match train it."""


@job.command(
    examples=[
        "salus job check spec.json",
        "salus job check draft.json --write spec.json",
        "salus --home /srv/salus job check spec.json --dry-run --dataset heart --json",
    ],
)
@click.argument("spec_file", metavar="SPEC", type=EXISTING_FILE)
@click.option(
    "--write",
    type=NEW_FILE,
    help="SPEC is a draft: write the job spec that it makes, canonical and with a base.",
)
@click.option(
    "--model",
    type=ModelVersionType(),
    metavar="MODEL@VERSION",
    help="With --write: start from this version [fresh weights drawn from the spec's seed].",
)
@click.option(
    "--researcher",
    type=AddressType(),
    help="Who would propose it [anyone]: some consents name one researcher.",
)
@click.option(
    "--dry-run", is_flag=True, help="Train one round on a dataset in --home. Nothing leaves this machine."
)
@click.option("--dataset", "dataset_name", help="With --dry-run: name of the dataset in --home.")
@click.pass_obj
def check(
    session: Session,
    spec_file: Path,
    write: Path | None,
    model: ModelVersion | None,
    researcher: str | None,
    dry_run: bool,
    dataset_name: str | None,
) -> Result:  # fmt: skip
    """Check a job spec before it is proposed.

    Says whose consents would match and why the others would not, what the job costs and what it asks of a hospital's
    machine, and with --dry-run how one round of training goes.
    """
    from protocol.chain.bonds import Bonds
    from protocol.client import matching_consents
    from protocol.costs import gas_price_wei, job_cost
    from protocol.learning import zoo

    if dry_run != (dataset_name is not None):
        raise click.UsageError("--dry-run and --dataset NAME go together.")
    if model is not None and write is None:
        raise click.UsageError("--model goes with --write.")
    spec = _read(spec_file) if write is None else _write(session, spec_file, write, model)
    with working("Holding consents against the spec"):
        matches = matching_consents(session.chain, spec, researcher or NOBODY)
        gas_price = gas_price_wei(session.chain)
        bond = Bonds(session.chain).terms()
    hospitals = {each.hospital_id for each in matches if each.allowed}
    enough = len(hospitals) >= spec.hospitals.min
    asked = zoo.cost(spec.model, spec.training.batch_size)
    most = min(max(len(hospitals), spec.hospitals.min), spec.hospitals.max)
    cost = job_cost(spec.rounds, most, grouped=spec.merge.groups > 1)
    document: dict[str, Any] = {
        "ok": enough,
        "spec": jobs_view.spec_document(spec),
        "matches": [{**vars(each), "allowed": each.allowed} for each in matches],
        "hospitals": sorted(hospitals),
        "enough": enough,
        "machine": asked,
        "bond": {"token": bond.token, "amount": str(bond.amount)},
        "gas": cost,
        "gas_price_wei": str(gas_price),
        "cost_wei": {name: str(wei) for name, wei in cost.in_wei(gas_price).items()},
    }
    view: list[Any] = [
        facts(jobs_view.spec_facts(spec)),
        jobs_view.matches_table(matches),
        _verdict(spec, hospitals),
        jobs_view.cost_facts(cost, gas_price, asked),
        facts(
            {
                "a bond each": f"{tokens(bond.amount)} of {bond.token}, locked until fraud cannot be proved any more"
            }
        ),
    ]
    if dataset_name is not None:
        document["dry_round"], shown = _dry_round(session, spec, dataset_name)
        view.append(shown)
    if write is not None:
        document["written"] = write
        view.append(done(f"Wrote {write}."))
    view.append(
        next_commands(f"salus job propose {write or spec_file} --new-model NAME --reward 1000 --account NAME")
    )
    return Result(document, view, notices=jobs_view.privacy_notices(spec), ok=enough)


@job.command(
    examples=[
        "salus job propose spec.json --model 1@1 --reward 1000 --account researcher",
        "salus job propose spec.json --new-model 'Heart disease' --reward 1000 --enrol 1h --submit 10m"
        " --account researcher --json",
    ],
)
@click.argument("spec_file", metavar="SPEC", type=EXISTING_FILE)
@click.option(
    "--model", type=ModelVersionType(), metavar="MODEL@VERSION", help="The version that the spec starts from."
)
@click.option(
    "--new-model", help="Make a model of this name whose base is the spec's: fresh weights of its seed."
)
@click.option("--reward", type=AmountType(), required=True, help="Tokens that go into escrow.")
@click.option("--token", type=AddressType(), help="The ERC-20 token [the development network's].")
@click.option(
    "--enrol", type=DurationType(), default="1d", show_default=True, help="How long hospitals may enrol."
)
@click.option(
    "--submit",
    type=DurationType(),
    default="1h",
    show_default=True,
    help="Until a missing update is not waited for.",
)
@click.option("--merge", type=DurationType(), default="10m", show_default=True, help="Each merger's turn.")
@click.option(
    "--check", type=DurationType(), default="1h", show_default=True, help="Until silence makes a merge final."
)
@click.option(
    "--report",
    type=DurationType(),
    default="1h",
    show_default=True,
    help="Until missing reports are not waited for.",
)
@click.option(
    "--pause",
    type=DurationType(),
    default="7d",
    show_default=True,
    help="Longest time with too few hospitals.",
)
@click.option("--mint-reward", is_flag=True, help="On a development network: make the tokens first.")
@signing
@click.pass_obj
def propose(
    session: Session,
    spec_file: Path,
    model: ModelVersion | None,
    new_model: str | None,
    reward: Decimal,
    token: str | None,
    mint_reward: bool,
    account: str,
    password_file: Path | None,
    **phases: int,
) -> Result:
    """Pin a job spec and propose it, its reward in escrow. Rounds that are not final are refunded."""
    from protocol.chain.jobs import Phases
    from protocol.chain.rewards import Rewards
    from protocol.client import create_model, propose_job
    from protocol.drafts import fresh_base
    from protocol.payments import require_reward, units

    if (model is None) == (new_model is None):
        raise click.UsageError("Give one of --model and --new-model.")
    spec = _read(spec_file)
    chain = session.chain_as(account, password_file)
    token = Rewards(chain).token(token or _development_token(chain))
    amount = units(reward, token)
    with working("Pinning the spec") as work:
        if mint_reward:
            chain.send("RewardToken", "mint", chain.signer.address, amount)
        require_reward(chain, token, amount)
        if model is None:
            work.say("Making the model")
            base = fresh_base(spec)
            _require_base(spec, base)
            model_id, _ = create_model(chain, session.ipfs, new_model, base)
            model = ModelVersion(model_id, 1)
        work.say("Proposing")
        receipt = propose_job(
            chain,
            session.ipfs,
            spec,
            model_id=model.model_id,
            base_version=model.version,
            phases=Phases(**phases),
            reward_token=token.address,
            reward_amount=amount,
        )
    job_id = receipt.event("JobProposed").args["jobId"]
    return Result(
        {
            "job_id": job_id,
            "model": model.model_id,
            "base_version": model.version,
            "spec": jobs_view.spec_document(spec),
            "reward_token": token.address,
            "reward_amount": str(amount),
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [
            done(f"Job {job_id} is proposed: {spec.title}."),
            facts(
                {
                    "model": model,
                    "reward in escrow": f"{tokens(amount, token.decimals)} {token.symbol}",
                    "gas": f"{receipt.gas_used:,}",
                }
            ),
            next_commands(
                f"salus job watch {job_id}",
                f"salus job show {job_id}",
                f"salus job cancel {job_id} --account NAME",
            ),
        ],
        notices=jobs_view.privacy_notices(spec),
    )


@job.command("list", examples=["salus job list", "salus job list --running --json"])
@click.option("--running", is_flag=True, help="Only those that have not ended.")
@click.pass_obj
def list_jobs(session: Session, running: bool) -> Result:
    """Show jobs: where each stands, its rounds, its reward."""
    from protocol.chain.enums import JobStatus
    from protocol.results import job_summaries

    with working("Reading jobs"):
        found = job_summaries(session.chain, session.ipfs)
    if running:
        found = [each for each in found if each.job.status not in (JobStatus.FINISHED, JobStatus.CANCELLED)]
    return Result(
        {"jobs": [jobs_view.summary_document(each) for each in found]},
        [jobs_view.summary_table(found)],
        notices=jobs_view.unmasked_notices(found),
    )


@job.command(examples=["salus job show 1", "salus job show 1 --json"])
@click.argument("job_id", type=ID)
@click.pass_obj
def show(session: Session, job_id: int) -> Result:
    """Show a job: its spec, its hospitals, each round's updates, merge and attestations, its reports."""
    from protocol.results import job_overview

    with working("Reading the job"):
        found = job_overview(session.chain, session.ipfs, job_id)
    return Result(
        jobs_view.overview_document(found),
        jobs_view.overview(found),
        notices=jobs_view.privacy_notices(found.spec),
    )


@job.command(examples=["salus job watch 1", "salus job watch 1 --timeout 10m --json"])
@click.argument("job_id", type=ID)
@click.option("--timeout", type=DurationType(), help="Look no longer than this; the job goes on.")
@click.pass_obj
def watch(session: Session, job_id: int, timeout: int | None) -> Result:
    """Follow a job on standard error until it ends, then show it."""
    from protocol.results import follow, job_overview

    first = job_overview(session.chain, session.ipfs, job_id)
    for notice in jobs_view.privacy_notices(first.spec):
        warn(notice, style="yellow")
    with working(f"Job {job_id}") as work:
        for record, news in follow(session.chain, job_id, timeout):
            for event in news:
                if line := jobs_view.event_line(session.chain, record, event):
                    warn(line)
            work.say(jobs_view.where(record))
    found = job_overview(session.chain, session.ipfs, job_id)
    return Result(
        jobs_view.overview_document(found),
        jobs_view.overview(found),
        notices=jobs_view.privacy_notices(found.spec),
    )


@job.command(
    examples=["salus job cancel 1 --account researcher", "salus job cancel 1 --account researcher --json"]
)
@click.argument("job_id", type=ID)
@signing
@click.pass_obj
def cancel(session: Session, job_id: int, account: str, password_file: Path | None) -> Result:
    """End a job before its time. Final rounds stay earned, the rest of the reward is refunded to the researcher."""
    from protocol.chain.jobs import Jobs
    from protocol.results import job_spec

    chain = session.chain_as(account, password_file)
    spec = job_spec(chain, session.ipfs, job_id)
    receipt = Jobs(chain).cancel(job_id)
    final = receipt.event("JobCancelled").args["finalRounds"]
    return Result(
        {"job_id": job_id, "final_rounds": final, "tx_hash": receipt.tx_hash, "gas_used": receipt.gas_used},
        [
            done(f"Job {job_id} is cancelled; {final} of {spec.rounds} rounds were final and stay earned."),
            next_commands("salus reward show", "salus reward claim --account NAME"),
        ],
        notices=jobs_view.privacy_notices(spec),
    )


@job.command(
    examples=[
        "salus job challenge 1 3 --account hungary-operator",
        "salus job challenge 1 3 --account hungary-operator --force --json",
    ],
)
@click.argument("job_id", type=ID)
@click.argument("round_number", metavar="ROUND", type=ID)
@click.option(
    "--force",
    is_flag=True,
    help="Challenge an honest merge too. It costs the hospital of the account its bond.",
)
@signing
@click.pass_obj
def challenge(
    session: Session, job_id: int, round_number: int, force: bool, account: str, password_file: Path | None
) -> Result:
    """Compute the merge of a round here, and prove on the chain that it is false.

    A false merge is void with all that was built on it; its merger loses its bond, half of it to the hospital of the
    account. An honest one is left alone.
    """
    from protocol.chain.bonds import Bonds
    from protocol.chain.challenges import Challenges
    from protocol.chain.hospitals import Hospitals
    from protocol.challenge import examine
    from protocol.results import job_record, job_spec

    chain = session.chain_as(account, password_file)
    spec = job_spec(chain, session.ipfs, job_id)
    with working("Computing the merge again") as work:
        record = job_record(chain, job_id)
        found = examine(chain, session.ipfs, spec, record, round_number)
        document: dict[str, Any] = {
            "job_id": job_id,
            "round": round_number,
            "merger": found.merge.hospital_id,
            "honest": found.honest,
            "differing": found.differing,
            "chunk_index": None if found.honest else found.claim.chunk_index,
            "challenged": False,
        }
        if found.honest and not force:
            return Result(
                document,
                [
                    done(
                        f"The merge of round {round_number} is what its {len(found.claim.parts)} updates give, in all"
                        f" {found.lanes:,} numbers. There is nothing to challenge."
                    ),
                    "Challenging it all the same, with --force, would cost this hospital its bond.",
                ],
                notices=jobs_view.privacy_notices(spec),
            )
        hospital_id, _ = Hospitals(chain).role_of(chain.signer.address)
        if not Bonds(chain).bond_of(job_id, hospital_id).exists:
            raise InvalidInput(
                f"Account {chain.signer.address} acts for no hospital with a bond in job {job_id}.",
                "Only a participant that has something to lose may challenge.",
            )
        work.say("Asking the contract what it would find")
        proven = Challenges(chain).check(found.claim)
        if not proven and not force:
            raise InvalidInput(
                f"The merge differs here in {found.differing:,} numbers, but the contract would not find it false.",
                "Check this machine's memory and the installed version. Nothing was sent.",
            )
        work.say("Challenging")
        receipt = Challenges(chain).challenge(found.claim)
    slashed = [each.args for each in receipt.events if each.name == "Slashed"]
    document |= {
        "challenged": True,
        "proven": proven,
        "slashed": [{"hospital_id": each["hospitalId"], "amount": str(each["amount"])} for each in slashed],
        "tx_hash": receipt.tx_hash,
        "gas_used": receipt.gas_used,
    }
    lost = ", ".join(f"hospital {each['hospitalId']} lost {tokens(each['amount'])}" for each in slashed)
    said = (
        f"The merge of round {round_number} is proved false in chunk {found.claim.chunk_index}: it is void, and the"
        " next in line merges the same updates."
        if proven
        else f"The merge of round {round_number} is honest, and the challenge has failed."
    )
    return Result(
        document,
        [
            done(said) if proven else said,
            facts({"bonds": lost or "none was locked", "gas": f"{receipt.gas_used:,}"}),
            next_commands(f"salus job show {job_id}", "salus bond show"),
        ],
        notices=jobs_view.privacy_notices(spec),
        ok=proven,
    )


def _read(spec_file: Path) -> JobSpec:
    from protocol.content import canonical
    from protocol.spec import JobSpec

    if spec_file.stat().st_size > canonical.MAX_DOCUMENT_BYTES:
        raise InvalidInput(
            f"{spec_file} has more than {canonical.MAX_DOCUMENT_BYTES:,} bytes, the most that a job spec may have."
        )
    data = spec_file.read_bytes()
    try:
        canonical.loads(data)
    except InvalidInput as error:
        raise InvalidInput(
            f"{spec_file}: {error.message}",
            f"To make a spec of a draft: salus job check {spec_file} --write spec.json.",
        ) from error
    return JobSpec.parse(data)


def _write(session: Session, draft_file: Path, out: Path, model: ModelVersion | None) -> JobSpec:
    from protocol.chain.models import Models
    from protocol.drafts import complete, read_draft

    base: VectorRef | None = None
    if model is not None:
        base = Models(session.chain).version(model.model_id, model.version).state
    spec = complete(read_draft(draft_file), base)
    out.write_bytes(spec.to_bytes())
    return spec


def _require_base(spec: JobSpec, base: Any) -> None:
    from protocol.content import vectors

    if vectors.reference(base) != vectors.VectorRef(spec.base.cid, spec.base.root):
        raise InvalidInput(
            "The spec does not start from the fresh weights of its seed.",
            "Name the version that it starts from with --model, or write it anew: salus job check DRAFT --write SPEC.",
        )


def _development_token(chain: Any) -> str:
    if "RewardToken" not in chain.deployment.contracts:
        raise click.UsageError("Name the reward's token with --token: this network has no development token.")
    return chain.address("RewardToken")


def _verdict(spec: JobSpec, hospitals: set[int]) -> Any:
    line = f"Hospitals that could enrol: {len(hospitals)}; needed: {spec.hospitals.min}."
    return done(line) if len(hospitals) >= spec.hospitals.min else line


def _dry_round(session: Session, spec: JobSpec, name: str) -> tuple[dict[str, Any], Any]:
    from protocol.dryrun import dry_round

    with working("Training one round here"):
        folder = session.settings.home / "datasets" / name
        found = dry_round(session.ipfs, spec, folder, session.vault(None))
    rows = [
        ("before", found.before.loss, found.before.correct, found.before.total),
        ("after", found.after.loss, found.after.correct, found.after.total),
    ]
    shown = table(
        [f"one round here, {found.seconds:.2f} s", ">loss, held out", ">accuracy, held out"],
        ((when, f"{loss:.4f}", f"{correct / total:.3f}") for when, loss, correct, total in rows),
    )
    return vars(found), shown
