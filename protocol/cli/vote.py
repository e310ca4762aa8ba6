"""``salus vote``: the DAO's proposals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli import jobs_view
from protocol.cli.arguments import PROPOSAL_ID, ModelVersion, ModelVersionType, signing
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, moment, next_commands, percent, table, tokens, working
from protocol.cli.proposing import GOVERNANCE, event_document, execute_option
from protocol.cli.proposing import propose as make_proposal
from protocol.cli.session import Session
from protocol.errors import InvalidInput

if TYPE_CHECKING:
    from protocol.chain.models import Models
    from protocol.chain.votes import Call, Proposal, Tally


@click.group(cls=Group)
def vote() -> None:
    """The DAO's proposals: holders of the vote token release models, admit hospitals and set parameters.

    A proposal is named by its number (`salus vote status`) or by its long id.
    """


@vote.command(
    examples=[
        "salus vote propose --release 1@2 --account holder-1",
        "salus vote propose --withdraw 1@2 --description 'Drift found in Basel' --account holder-1 --json",
        "salus vote propose --call RewardPool.allowToken '[\"0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc\", true]'"
        " --description 'Allow rewards in USDC' --account holder-1",
    ],
)
@click.option("--release", type=ModelVersionType(), metavar="MODEL@VERSION", help="Release a candidate.")
@click.option(
    "--withdraw", type=ModelVersionType(), metavar="MODEL@VERSION", help="Withdraw a released version."
)
@click.option(
    "--call",
    "other",
    type=(str, str),
    metavar="CONTRACT.FUNCTION ARGUMENTS",
    help="Any other call of a contract; its arguments as a JSON list.",
)
@click.option("--description", help="What token holders will read.")
@signing
@execute_option
@click.pass_obj
def propose(
    session: Session,
    release: ModelVersion | None,
    withdraw: ModelVersion | None,
    other: tuple[str, str] | None,
    description: str | None,
    account: str,
    password_file: Path | None,
    execute: bool,
) -> Result:
    """Propose to release or withdraw a model version, or any other call that only the DAO may make."""
    from protocol.chain.models import Models
    from protocol.chain.votes import Call

    if sum(each is not None for each in (release, withdraw, other)) != 1:
        raise click.UsageError("Give exactly one of --release, --withdraw and --call.")
    if other is not None:
        call, text = _call(*other), f"Call {other[0]}"
    else:
        target, function = (release, "release") if release is not None else (withdraw, "withdraw")
        _require_status(Models(session.chain), target, function)
        call = Call("ModelRegistry", function, (target.model_id, target.version))
        text = f"{function.capitalize()} version {target}"
    return make_proposal(session, [call], description or text, account, password_file, execute=execute)


@vote.command(examples=["salus vote show 3", "salus vote show 3 --no-trace --json"])
@click.argument("proposal", type=PROPOSAL_ID)
@click.option("--no-trace", is_flag=True, help="Do not re-check the version that the proposal is about.")
@click.pass_obj
def show(session: Session, proposal: int, no_trace: bool) -> Result:
    """Show a proposal. Of a model version: metrics per hospital, worst first, and what trace says."""
    from protocol.chain.votes import STATES, Votes

    votes = Votes(session.chain)
    found = votes.find(proposal)
    state, tally = votes.state(found.proposal_id), votes.tally(found.proposal_id)
    document: dict[str, Any] = _document(found, state)
    document["votes"] = {"for": str(tally.for_), "against": str(tally.against), "abstain": str(tally.abstain)}
    document["quorum"] = None if tally.quorum is None else str(tally.quorum)
    view: list[Any] = [
        facts(
            {
                "proposal": found.number,
                "id": found.proposal_id,
                "what": found.description,
                "calls": "\n".join(each.in_words for each in found.calls),
                "proposer": found.proposer,
                "state": STATES[state],
                "voting": f"{moment(found.vote_start)} to {moment(found.vote_end)}",
            }
        ),
        _tally(tally),
    ]
    notices: list[str] = []
    for version in _versions(found):
        more, shown, unmasked = _about(session, version, trace=not no_trace)
        document.setdefault("versions", []).append(more)
        view += shown
        notices += unmasked
    return Result(document, view, notices=list(dict.fromkeys(notices)))


@vote.command(
    examples=[
        "salus vote cast 3 for --account holder-1",
        "salus vote cast 3 against --reason 'Poor in Basel' --account holder-2",
    ],
)
@click.argument("proposal", type=PROPOSAL_ID)
@click.argument("support", type=click.Choice(["for", "against", "abstain"], case_sensitive=False))
@click.option("--reason", default="", help="What the others shall read.")
@signing
@click.pass_obj
def cast(
    session: Session, proposal: int, support: str, reason: str, account: str, password_file: Path | None
) -> Result:
    """Vote with all votes that are delegated to the account."""
    from protocol.chain.votes import Votes

    votes = Votes(session.chain_as(account, password_file))
    found = votes.find(proposal)
    receipt = votes.cast(found.proposal_id, support, reason)
    weight = receipt.event("VoteCast").args["weight"]
    return Result(
        {
            "proposal": found.number,
            "proposal_id": str(found.proposal_id),
            "support": support,
            "weight": str(weight),
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [
            done(f"{tokens(weight)} votes {support} proposal {found.number}."),
            f"Voting ends {moment(found.vote_end)}.",
            next_commands(
                f"salus vote show {found.number}", f"salus vote queue {found.number} --account NAME"
            ),
        ],
    )


@vote.command(
    examples=["salus vote queue 3 --account holder-1", "salus vote queue 3 --account holder-1 --json"]
)
@click.argument("proposal", type=PROPOSAL_ID)
@signing
@click.pass_obj
def queue(session: Session, proposal: int, account: str, password_file: Path | None) -> Result:
    """Hand a passed proposal to the timelock. Anyone may."""
    from protocol.chain.votes import Votes

    votes = Votes(session.chain_as(account, password_file))
    found = votes.find(proposal)
    receipt = votes.queue(found.proposal_id)
    eta = votes.eta(found.proposal_id)
    return Result(
        {
            "proposal": found.number,
            "proposal_id": str(found.proposal_id),
            "executable_at": eta,
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [
            done(f"Proposal {found.number} is queued; it can be executed from {moment(eta)}."),
            next_commands(f"salus vote execute {found.number} --account NAME"),
        ],
    )


@vote.command(
    examples=["salus vote execute 3 --account holder-1", "salus vote execute 3 --account holder-1 --json"]
)
@click.argument("proposal", type=PROPOSAL_ID)
@signing
@click.pass_obj
def execute(session: Session, proposal: int, account: str, password_file: Path | None) -> Result:
    """Execute a queued proposal once the timelock's delay is over. Anyone may."""
    from protocol.chain.votes import Votes

    votes = Votes(session.chain_as(account, password_file))
    found = votes.find(proposal)
    receipt = votes.execute(found.proposal_id)
    happened = [each.name for each in receipt.events if each.contract not in GOVERNANCE]
    return Result(
        {
            "proposal": found.number,
            "proposal_id": str(found.proposal_id),
            "events": [event_document(each) for each in receipt.events],
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [done(f"Proposal {found.number} is executed: {found.description}."), *happened],
    )


@vote.command(examples=["salus vote status", "salus vote status --json"])
@click.pass_obj
def status(session: Session) -> Result:
    """Show every proposal and where it stands, and the DAO's rules."""
    from protocol.chain.votes import STATES, Votes

    votes = Votes(session.chain)
    found = votes.proposals()
    states = votes.states([each.proposal_id for each in found])
    rules = {
        "voting_delay_seconds": votes.voting_delay(),
        "voting_period_seconds": votes.voting_period(),
        "timelock_delay_seconds": votes.timelock_delay(),
        "proposal_threshold": str(votes.threshold()),
    }
    return Result(
        {"rules": rules, "proposals": [_document(*pair) for pair in zip(found, states, strict=True)]},
        [
            table(
                [">", "what", "state", "voting ends"],
                (
                    (
                        each.number,
                        each.description,
                        STATES[state],
                        moment(each.vote_end),
                    )
                    for each, state in zip(found, states, strict=True)
                ),
                empty="Nothing has been proposed yet.",
            ),
            f"A vote begins {rules['voting_delay_seconds']:,} s after its proposal and lasts"
            f" {rules['voting_period_seconds']:,} s; execution waits {rules['timelock_delay_seconds']:,} s more."
            f" To propose takes {tokens(votes.threshold())} votes.",
        ],
    )


def _call(name: str, arguments: str) -> Call:
    from protocol.chain.votes import Call

    contract, _, function = name.partition(".")
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise click.UsageError(f"--call: the arguments are not JSON: {error}.") from error
    if not function or not isinstance(given, list):
        raise click.UsageError(
            "--call takes CONTRACT.FUNCTION and a JSON list: RewardPool.setJobs '[\"0x…\", true]'."
        )
    return Call(contract, function, tuple(given))


def _require_status(models: Models, version: ModelVersion, function: str) -> None:
    """Raises InvalidInput for a proposal that could not be executed."""
    from protocol.chain.enums import ModelStatus

    status = models.version(version.model_id, version.version).status
    needed = ModelStatus.CANDIDATE if function == "release" else ModelStatus.RELEASED
    if status != needed:
        raise InvalidInput(
            f"Version {version} is {status.name.lower()}; only a {needed.name.lower()} version can be"
            f" {'released' if function == 'release' else 'withdrawn'}.",
            "`salus model list` shows the versions.",
        )


def _document(proposal: Proposal, state: Any) -> dict[str, Any]:
    return {
        "proposal": proposal.number,
        "proposal_id": str(proposal.proposal_id),
        "description": proposal.description,
        "proposer": proposal.proposer,
        "state": state,
        "vote_start": proposal.vote_start,
        "vote_end": proposal.vote_end,
        "calls": [
            {"contract": each.contract, "function": each.function, "arguments": each.arguments}
            for each in proposal.calls
        ],
    }


def _tally(tally: Tally) -> Any:
    total = tally.for_ + tally.against + tally.abstain
    rows = [("for", tally.for_), ("against", tally.against), ("abstain", tally.abstain)]
    if tally.quorum is not None:
        rows.append(("quorum (for and abstain)", tally.quorum))
    return table(
        ["votes", ">", ">share"],
        (
            (name, tokens(votes), percent(votes, total) if "quorum" not in name else "")
            for name, votes in rows
        ),
    )


def _versions(proposal: Proposal) -> list[ModelVersion]:
    """The model versions that a proposal would release or withdraw."""
    return [
        ModelVersion(*each.arguments)
        for each in proposal.calls
        if each.contract == "ModelRegistry" and each.function in ("release", "withdraw")
    ]


def _about(
    session: Session, version: ModelVersion, *, trace: bool
) -> tuple[dict[str, Any], list[Any], list[str]]:
    """What a voter should know of a version: metrics, worst hospital first, and what the verifier finds."""
    from protocol.chain.models import Models
    from protocol.cli.trace import failures_of
    from protocol.results import job_overview
    from protocol.trace import trace as check_version

    stored = Models(session.chain).version(version.model_id, version.version)
    document: dict[str, Any] = {
        "model": version.model_id,
        "version": version.version,
        "job_id": stored.job_id or None,
    }
    view: list[Any] = []
    notices: list[str] = []
    if stored.job_id:
        found = job_overview(session.chain, session.ipfs, stored.job_id)
        document["metrics"] = [vars(each) | {"accuracy": each.accuracy} for each in found.reports]
        view.append(jobs_view.reports_table(found.reports))
        notices = jobs_view.privacy_notices(found.spec)
    if trace:
        with working(f"Re-checking {version}") as work:
            root = check_version(session.chain, session.ipfs, version.model_id, version.version, work.say)
        failed = root.failures()
        document["trace"] = {
            "ok": root.holds,
            "failures": failures_of(root),
        }
        if failed:
            view += [f"Trace: {len(failed)} of {root.count():,} checks of {version} do NOT hold:"]
            view += [f"  {each.name}: {each.detail}" for each in failed]
        else:
            view.append(done(f"Trace: all {root.count():,} checks of {version} hold."))
    return document, view, notices
