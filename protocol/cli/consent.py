"""``salus consent``: consent tokens with DUO terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.chain import duo
from protocol.chain.consents import ANYONE
from protocol.cli.arguments import (
    COUNT,
    EXISTING_FILE,
    ID,
    NEW_FILE,
    PERMISSION,
    AddressType,
    DurationType,
    ModifierType,
    MomentType,
    MondoType,
    expiry,
    signing,
)
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, moment, next_commands, table, working
from protocol.cli.session import Session
from protocol.errors import InvalidInput

if TYPE_CHECKING:
    from protocol.chain.consents import Consent, Terms


@click.group(cls=Group)
def consent() -> None:
    """Consent tokens: what a hospital allows others to train on its data, in terms of the Data Use Ontology (DUO)."""


def terms_options(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that say what is allowed."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--epsilon-budget", type=click.FloatRange(0), default=0.0, show_default=True,
                         help="Most epsilon that the dataset may have spent under it."),
            click.option("--max-rounds", type=COUNT, required=required, help="Most updates accepted under it."),
            click.option("--expires-at", type=MomentType(), help="When it ends: 2027-01-31 or unix seconds (UTC)."),
            click.option("--expires-in", type=DurationType(), help="How long it lasts: 90d, 12h, 1y."),
            click.option("--region", type=click.IntRange(1, 999), default=None,
                         help="UN M49 code of the only region; needs the modifier GS."),
            click.option("--modifier", "modifiers", type=ModifierType(), multiple=True,
                         help="What a job must pledge, by DUO name; may be repeated: --modifier IRB --modifier PUB."),
            click.option("--mondo", type=MondoType(), help="The disease, for the permission DS: MONDO:0005148."),
            click.option("--permission", type=PERMISSION, required=required,
                         help="DUO permission: NRES ⊇ GRU ⊇ HMB ⊇ DS."),
            click.option("--grantee", type=AddressType(), help="The only researcher who may use it [anyone]."),
            click.option("--dataset", "dataset_id", type=ID, required=required, help="Id of the dataset."),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


@consent.command(
    examples=[
        "salus consent mint --dataset 1 --permission HMB --modifier PUB --modifier NCU --expires-in 90d"
        " --max-rounds 50 --account cleveland-admin",
        "salus consent mint --dataset 2 --permission DS --mondo MONDO:0005148 --expires-at 2030-01-31 --max-rounds 12"
        " --account basel-admin --json",
        "salus consent mint --signature consent.json --account researcher",
    ],
)
@terms_options(required=False)
@click.option(
    "--signature",
    "signature_file",
    type=EXISTING_FILE,
    help="Mint what a hospital's admin signed with `salus consent sign`; the file holds the terms.",
)
@signing
@click.pass_obj
def mint(
    session: Session, signature_file: Path | None, account: str, password_file: Path | None, **given: Any
) -> Result:
    """Mint a consent: as the hospital's admin, or as anyone who carries the admin's signature."""
    from protocol.chain.consents import Consents, SignedTerms

    if signature_file is None:
        terms = _terms(session, **given)
        consents = Consents(session.chain_as(account, password_file))
        receipt = consents.mint(terms)
    else:
        named = [name for name, value in given.items() if value not in (None, (), 0.0)]
        if named:
            raise click.UsageError(
                f"--signature carries the terms; leave out --{named[0].replace('_', '-')}."
            )
        signed = SignedTerms.load(signature_file)
        terms = signed.terms
        consents = Consents(session.chain_as(account, password_file))
        receipt = consents.mint_by_signature(signed)
    args = receipt.event("ConsentMinted").args
    return Result(
        {
            "consent_id": args["consentId"],
            "hospital_id": args["hospitalId"],
            "terms": terms_document(terms),
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [
            done(f"Consent {args['consentId']} of hospital {args['hospitalId']} is minted."),
            facts(terms_facts(terms)),
            next_commands(
                f"salus consent show {args['consentId']}",
                f"salus consent revoke {args['consentId']} --account NAME",
            ),
        ],
    )


@consent.command(
    examples=[
        "salus consent sign --dataset 1 --permission GRU --expires-in 30d --max-rounds 20 --out consent.json"
        " --account cleveland-admin",
        "salus consent sign --dataset 1 --permission HMB --modifier IRB --expires-in 1y --max-rounds 5 --valid-for 2d"
        " --out consent.json --account cleveland-admin --json",
    ],
)
@terms_options(required=True)
@click.option(
    "--valid-for",
    type=DurationType(),
    default="7d",
    show_default=True,
    help="How long the signature can be used.",
)
@click.option("--out", type=NEW_FILE, required=True, help="Where to write the signature.")
@signing
@click.pass_obj
def sign(
    session: Session, valid_for: int, out: Path, account: str, password_file: Path | None, **given: Any
) -> Result:
    """Sign consent terms (EIP-712) without a transaction, so that the admin's key needs no ether and may stay cold.

    The signature is good once, on this chain, until its deadline; a direct mint by `--signature` uses it up.
    """
    from protocol.chain.consents import Consents
    from protocol.chain.datasets import Datasets
    from protocol.chain.hospitals import Hospitals

    terms = _terms(session, **given)
    chain = session.chain_as(account, password_file)
    hospital_id = Datasets(chain).hospital_of(terms.dataset_id)
    admin = Hospitals(chain).hospital(hospital_id).admin
    if admin != chain.signer.address:
        raise InvalidInput(
            f"Dataset {terms.dataset_id} is hospital {hospital_id}'s; only its admin {admin} can sign for it.",
            f"This account is {chain.signer.address}: `salus account list`.",
        )
    signed = Consents(chain).sign(terms, deadline=chain.now() + valid_for)
    signed.save(out)
    return Result(
        {"file": out, "deadline": signed.deadline, "nonce": signed.nonce, "terms": terms_document(terms)},
        [
            done(f"Signed; {out} may be given to anyone who is to mint it."),
            facts({**terms_facts(terms), "signature ends": moment(signed.deadline)}),
            next_commands(f"salus consent mint --signature {out} --account NAME"),
        ],
    )


@consent.command(
    examples=[
        "salus consent revoke 1 --account cleveland-admin",
        "salus consent revoke 1 --account cleveland-admin --json",
    ]
)
@click.argument("consent_id", type=ID)
@signing
@click.pass_obj
def revoke(session: Session, consent_id: int, account: str, password_file: Path | None) -> Result:
    """End a consent at once and for good. The hospital is out of its running jobs from the next round on."""
    from protocol.chain.consents import Consents

    receipt = Consents(session.chain_as(account, password_file)).revoke(consent_id)
    return Result(
        {
            "consent_id": consent_id,
            "revoked_at": receipt.timestamp,
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [
            done(f"Consent {consent_id} is revoked for good, since {moment(receipt.timestamp)}."),
            "Updates that were accepted before stay in the model; no later round gets one.",
        ],
    )


@consent.command("list", examples=["salus consent list", "salus consent list --dataset 1 --live --json"])
@click.option("--dataset", "dataset_id", type=ID, help="Only those of this dataset.")
@click.option("--live", is_flag=True, help="Only those that are neither revoked, expired nor used up.")
@click.pass_obj
def list_consents(session: Session, dataset_id: int | None, live: bool) -> Result:
    """Show consents and their terms."""
    from protocol.chain.consents import Consents

    consents = Consents(session.chain)
    with working("Reading consents"):
        ids = consents.ids_of_dataset(dataset_id) if dataset_id else range(1, consents.count() + 1)
        now = session.chain.now()
        found = [(consent_id, consents.consent(consent_id)) for consent_id in ids]
    shown = [(consent_id, each) for consent_id, each in found if not live or state_of(each, now) == "live"]
    return Result(
        {"consents": [consent_document(consent_id, each, now) for consent_id, each in shown]},
        [
            table(
                [
                    ">id",
                    ">hospital",
                    ">dataset",
                    "state",
                    "permission",
                    "modifiers",
                    ">rounds",
                    "expires",
                    "grantee",
                ],
                (
                    (
                        consent_id,
                        each.hospital_id,
                        each.terms.dataset_id,
                        state_of(each, now),
                        permission_words(each.terms, short=True),
                        " ".join(duo.modifiers(each.terms.modifiers)),
                        f"{each.rounds_used}/{each.terms.max_rounds}",
                        moment(each.terms.expires_at),
                        "anyone" if each.terms.grantee == ANYONE else each.terms.grantee,
                    )
                    for consent_id, each in shown
                ),
                empty="There is no such consent.",
            )
        ],
    )


@consent.command(examples=["salus consent show 1", "salus consent show 1 --json"])
@click.argument("consent_id", type=ID)
@click.pass_obj
def show(session: Session, consent_id: int) -> Result:
    """Show a consent: its terms in words, and what was used of it."""
    from protocol.chain.consents import Consents

    consents = Consents(session.chain)
    each = consents.consent(consent_id)
    now = session.chain.now()
    spent = consents.epsilon_spent_micro(each.terms.dataset_id)
    return Result(
        {**consent_document(consent_id, each, now), "epsilon_spent_micro": spent},
        [
            facts(
                {
                    "consent": consent_id,
                    "hospital": each.hospital_id,
                    "state": state_of(each, now),
                    **terms_facts(each.terms),
                    "rounds used": f"{each.rounds_used} of {each.terms.max_rounds}",
                    "epsilon spent": f"{spent / 1e6:g} of {each.terms.epsilon_budget_micro / 1e6:g}",
                }
            )
        ],
    )


def _terms(
    session: Session,
    *,
    dataset_id: int | None,
    grantee: str | None,
    permission: str | None,
    mondo: int | None,
    modifiers: tuple[str, ...],
    region: int | None,
    expires_in: int | None,
    expires_at: int | None,
    max_rounds: int | None,
    epsilon_budget: float,
) -> Terms:
    """The terms that the options spell. Raises click.UsageError where they contradict each other."""
    from protocol.chain.consents import Terms, require_sound

    for name, value in (
        ("--dataset", dataset_id),
        ("--permission", permission),
        ("--max-rounds", max_rounds),
    ):
        if value is None:
            raise click.UsageError(f"{name} is missing (or give --signature FILE).")
    if (permission == "DS") != (mondo is not None):
        raise click.UsageError("--permission DS and --mondo go together: DS names one disease.")
    if ("GS" in modifiers) != (region is not None):
        raise click.UsageError("--modifier GS and --region go together: GS names one region.")
    now = session.chain.now()
    terms = Terms(
        dataset_id=dataset_id,
        grantee=grantee or ANYONE,
        permission=duo.Permission[permission],
        mondo=mondo or 0,
        modifiers=duo.bits(modifiers),
        region=region or 0,
        expires_at=expiry(expires_in, expires_at, now),
        max_rounds=max_rounds,
        epsilon_budget_micro=round(epsilon_budget * 1_000_000),
    )
    require_sound(terms, now)
    return terms


def state_of(consent: Consent, now: int) -> str:
    """live, revoked, expired or used up."""
    if consent.revoked:
        return "revoked"
    if now >= consent.terms.expires_at:
        return "expired"
    return "used up" if consent.rounds_used >= consent.terms.max_rounds else "live"


def permission_words(terms: Terms, *, short: bool = False) -> str:
    """HMB: health, medical and biomedical research."""
    permission = duo.Permission(terms.permission)
    name = f"{permission.name} MONDO:{terms.mondo:07d}" if terms.mondo else permission.name
    return name if short else f"{name} ({duo.PERMISSIONS[permission][1]})"


def terms_facts(terms: Terms) -> dict[str, object]:
    """Terms for people."""
    return {
        "dataset": terms.dataset_id,
        "permission": permission_words(terms),
        "modifiers": duo.in_words(terms.modifiers),
        **({"region": f"UN M49 {terms.region}"} if terms.region else {}),
        "grantee": "anyone whom the terms allow" if terms.grantee == ANYONE else terms.grantee,
        "expires": moment(terms.expires_at),
        "most rounds": terms.max_rounds,
    }


def terms_document(terms: Terms) -> dict[str, object]:
    """Terms for programs, DUO in words."""
    permission = duo.Permission(terms.permission)
    return {
        "dataset_id": terms.dataset_id,
        "grantee": None if terms.grantee == ANYONE else terms.grantee,
        "permission": permission.name,
        "permission_duo": duo.PERMISSIONS[permission][0],
        "mondo": f"MONDO:{terms.mondo:07d}" if terms.mondo else None,
        "modifiers": duo.modifiers(terms.modifiers),
        "modifiers_duo": [duo.MODIFIERS[name][1] for name in duo.modifiers(terms.modifiers)],
        "region": terms.region or None,
        "expires_at": terms.expires_at,
        "max_rounds": terms.max_rounds,
        "epsilon_budget_micro": terms.epsilon_budget_micro,
    }


def consent_document(consent_id: int, consent: Consent, now: int) -> dict[str, object]:
    """A consent for programs."""
    return {
        "consent_id": consent_id,
        "hospital_id": consent.hospital_id,
        "state": state_of(consent, now),
        "revoked": consent.revoked,
        "rounds_used": consent.rounds_used,
        "terms": terms_document(consent.terms),
    }
