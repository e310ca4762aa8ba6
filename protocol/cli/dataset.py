"""``salus dataset``: a hospital's anonymised datasets and their commitments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.chain import duo
from protocol.cli.arguments import EXISTING_FILE, ID, NEW_FILE, signing, vault_password
from protocol.cli.command import Group
from protocol.cli.consent import permission_words, terms_document
from protocol.cli.output import Result, done, facts, moment, next_commands, table, working
from protocol.cli.session import Session
from protocol.content.cid import to_cid
from protocol.errors import DataError

if TYPE_CHECKING:
    from protocol.chain.client import Receipt
    from protocol.data.dataset import RecordProof
    from protocol.data.images import Schema
    from protocol.data.proofs import ErasureProof
    from protocol.data.schema import DataSchema
    from protocol.holdings import DatasetOverview
    from protocol.vault.evidence import Audit
    from protocol.vault.images import HospitalDataset, ImageDataset
    from protocol.vault.record_dataset import RecordDataset
    from protocol.vault.store import Vault
    from protocol.withdrawal import ModelUse

SHOWN_COLUMNS = 4


@click.group(cls=Group)
def dataset() -> None:
    """A hospital's anonymised datasets. Records and salts stay in --home; the chain gets roots and counts."""


def name_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--name``: which dataset of the home."""
    return click.option(
        "--name", required=True, help="Name of the dataset: its folder in the datasets of --home."
    )(command)


def splitting(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a table is split, unless it has a column ``split`` that says so."""
    for option in (
        click.option(
            "--seed",
            type=click.IntRange(0, 2**32 - 1),
            default=43,
            show_default=True,
            help="Seed of the split.",
        ),
        click.option(
            "--held-out",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=0.34,
            show_default=True,
            help="Share of records kept for reporting; a column named split (train, held_out) goes before it.",
        ),
        click.option(
            "--patient",
            help="Column that tells patients apart: each is on one side of the split. Only a keyed hash of it is"
            " kept, in the dataset's folder.",
        ),
    ):
        command = option(command)
    return command


@dataset.command(
    examples=[
        "salus --home /srv/salus dataset register records.csv --schema uci-heart-disease --name heart"
        " --account cleveland-operator",
        "salus dataset register records.csv --schema schema.json --name heart --patient pseudonym"
        " --account cleveland-operator --json",
        "salus dataset register --name heart --account cleveland-operator",
    ],
)
@click.argument("csv", type=EXISTING_FILE, required=False)
@click.option("--schema", help="A packaged schema by name, or a JSON file.")
@name_option
@splitting
@signing
@click.pass_obj
def register(
    session: Session,
    csv: Path | None,
    schema: str | None,
    name: str,
    held_out: float,
    seed: int,
    patient: str | None,
    account: str,
    password_file: Path | None,
) -> Result:
    """Check a CSV table against a schema, keep it salted in --home, and register its commitment on the chain.

    A column that looks like an identifier is refused by name, and so is a value that the schema does not allow. Without
    CSV: register a dataset that is in --home already, because it is of images (`salus vault dataset` makes those) or of
    records (`salus records cohort`), or because registering it failed half-way.
    """
    from protocol.chain.hospitals import Hospitals
    from protocol.client import register_dataset
    from protocol.data.preparing import prepare
    from protocol.vault.images import opened

    if (csv is None) != (schema is None):
        raise click.UsageError(
            "CSV and --schema go together; give neither to register a dataset that is in --home."
        )
    folder = dataset_folder(session, name)
    chain = session.chain_as(account, password_file)
    Hospitals(chain).require_operator()
    with working("Reading and salting records") as work:
        if csv is None:
            made = opened(existing_dataset(session, name))
        else:
            made = prepare(folder, _table_schema(schema), csv, held_out=held_out, seed=seed, patient=patient)
        work.say("Pinning schema and evidence, registering")
        receipt = register_dataset(chain, session.ipfs, made)
    return _registered(made, receipt)


@dataset.command(
    examples=[
        "salus dataset append more.csv --name heart --account cleveland-operator",
        "salus dataset append more.csv --name heart --patient pseudonym --account cleveland-operator --json",
        "salus dataset append --name heart --account cleveland-operator",
    ],
)
@click.argument("csv", type=EXISTING_FILE, required=False)
@name_option
@splitting
@signing
@click.pass_obj
def append(
    session: Session,
    csv: Path | None,
    name: str,
    held_out: float,
    seed: int,
    patient: str | None,
    account: str,
    password_file: Path | None,
) -> Result:
    """Add a table's records to a dataset and append the next version on the chain. Versions only append.

    Without CSV: append what is in --home already, because it is of images (`salus vault dataset` extends those) or of
    records (`salus records cohort`), or because appending it failed half-way.
    """
    from protocol.chain.hospitals import Hospitals
    from protocol.client import register_dataset
    from protocol.data.preparing import extend
    from protocol.vault.images import ImageDataset, opened

    folder = existing_dataset(session, name)
    made = opened(folder)
    if made.dataset_id is None:
        raise DataError(
            f"Dataset {name} is not registered yet.", f"Run `salus dataset register --name {name}` first."
        )
    if csv is not None and made.needs_vault:
        images = isinstance(made, ImageDataset)
        of, command = ("images", "vault dataset") if images else ("the vault's records", "records cohort")
        raise DataError(f"Dataset {name} is of {of}.", f"Run `salus {command} {name}` to extend it.")
    chain = session.chain_as(account, password_file)
    Hospitals(chain).require_operator()
    with working("Reading and salting records") as work:
        if csv is not None:
            made = extend(folder, csv, held_out=held_out, seed=seed, patient=patient)
        work.say("Pinning evidence, appending")
        receipt = register_dataset(chain, session.ipfs, made)
    return _registered(made, receipt)


@dataset.command("list", examples=["salus dataset list", "salus dataset list --hospital 1 --json"])
@click.option("--hospital", "hospital_id", type=ID, help="Only those of this hospital.")
@click.pass_obj
def list_datasets(session: Session, hospital_id: int | None) -> Result:
    """Show datasets with their schemas, and the DUO terms of their live consents."""
    from protocol.chain.hospitals import Hospitals
    from protocol.holdings import datasets

    with working("Reading datasets"):
        if hospital_id is not None:
            Hospitals(session.chain).hospital(hospital_id)
        found = datasets(session.chain, session.ipfs, hospital_id)
        names = Hospitals(session.chain).names()
    return Result(
        {"datasets": [_document(each) for each in found]},
        [
            table(
                [">id", "hospital", ">version", ">training", ">held out", "schema", "live consents"],
                (
                    (
                        each.dataset_id,
                        f"{each.hospital_id} {names.get(each.hospital_id, '')}",
                        each.latest.number,
                        f"{each.latest.version.train_records:,}",
                        f"{each.latest.version.held_out_records:,}",
                        _schema_words(each),
                        "\n".join(
                            _consent_words(number, consent) for number, consent in each.consents.items()
                        )
                        or "none",
                    )
                    for each in found
                ),
                empty="No dataset has been registered yet.",
            )
        ],
    )


@dataset.command(
    examples=[
        "salus --home /srv/salus dataset verify --name heart",
        "salus dataset verify --name heart --prove 12 --out proof.json",
        "salus dataset verify --name cohort --erased 12 --out erased.json --vault-password-file pw",
        "salus dataset verify --proof proof.json --json",
    ],
)
@click.option("--name", help="Recompute the root of this dataset of --home and hold it against the chain.")
@click.option("--prove", type=click.IntRange(0), help="With --name: write the proof of this record (from 0).")
@click.option(
    "--erased",
    type=click.IntRange(0),
    multiple=True,
    help="With --name, of the vault's records: write the proof that nothing stands at this place any more; may be"
    " repeated.",
)
@click.option(
    "--out",
    type=NEW_FILE,
    help="With --prove or --erased: the file. That of a record holds it and its salt; guard it.",
)
@click.option(
    "--proof",
    "proof_file",
    type=EXISTING_FILE,
    help="Verify the proof of a record, or of an erasure, against the chain.",
)
@vault_password
@click.pass_obj
def verify(
    session: Session,
    name: str | None,
    prove: int | None,
    erased: tuple[int, ...],
    out: Path | None,
    proof_file: Path | None,
    vault_password_file: Path | None,
) -> Result:
    """At the hospital: recompute a dataset's root, with the vault's password where the vault seals it. Anywhere: verify
    the proof of one record, or that nothing is left at the places of one who withdrew."""
    from protocol.data import proofs
    from protocol.holdings import registered_version
    from protocol.vault.images import opened
    from protocol.vault.record_dataset import RecordDataset

    if (name is None) == (proof_file is None):
        raise click.UsageError("Give one of --name and --proof.")
    asked = (prove is not None) + bool(erased)
    if asked != (out is not None) or (asked and name is None):
        raise click.UsageError("--prove INDEX or --erased INDEX goes with --name and --out FILE.")
    if proof_file is not None:
        return _proven(session, *proofs.load(proof_file))
    made = opened(existing_dataset(session, name), vault=session.vault(vault_password_file))
    if erased and not isinstance(made, RecordDataset):
        raise DataError(f"Dataset {name} is not of the vault's records.", "Those alone prove an erasure.")
    with working("Recomputing the root"):
        version = registered_version(session.chain, made)
    view: list[Any] = [
        done(f"Dataset {made.dataset_id}: records, salts and splits are those of version {version.number}."),
        facts(
            {
                "root": "0x" + made.root.hex(),
                "records": f"{made.train_records} + {made.held_out_records} held out",
            }
        ),
    ]
    if prove is not None:
        proofs.save(out, made.dataset_id, made.prove(prove))
        view.append(f"Wrote {out}. It holds the record and its salt: for the hospital's auditor alone.")
    if erased:
        proofs.save_erasure(out, made.dataset_id, made.erasure(indices=erased))
        view.append(f"Wrote {out}. It tells of nobody: whoever asked for the erasure may have it.")
    document = {
        "ok": True,
        "dataset_id": made.dataset_id,
        "version": version.number,
        "root": made.root,
        "proof": out,
    }
    return Result(document, view)


def _proven(session: Session, dataset_id: int, proof: RecordProof | ErasureProof) -> Result:
    """What a proof shows, held against the chain. Raises InvalidInput when it fits no version."""
    from protocol.data.proofs import ErasureProof
    from protocol.holdings import erased_version, proven_version

    if isinstance(proof, ErasureProof):
        version, places = erased_version(session.chain, dataset_id, proof), sorted(proof.places)
        at = f"place {places[0]}" if len(places) == 1 else f"places {', '.join(map(str, places))}"
        return Result(
            {"ok": True, "dataset_id": dataset_id, "version": version.number, "erased": places},
            [
                done(f"Version {version.number} of dataset {dataset_id} holds nothing at {at}."),
                "At each stands the empty leaf. What other versions hold there this does not show.",
            ],
        )
    version = proven_version(session.chain, dataset_id, proof)
    side = "held out" if proof.split else "for training"
    return Result(
        {
            "ok": True,
            "dataset_id": dataset_id,
            "version": version.number,
            "index": proof.index,
            "split": proof.split,
        },
        [
            done(
                f"The record is number {proof.index} of version {version.number} of dataset {dataset_id}, {side}."
            )
        ],
    )


@dataset.command(
    examples=[
        "salus --home /srv/salus dataset audit --name breast --vault-password-file pw",
        "salus dataset audit --name breast --vault-password-file pw --offline --json",
    ],
)
@name_option
@vault_password
@click.option("--offline", is_flag=True, help="Hold it against the folder alone, not against the chain.")
@click.pass_obj
def audit(session: Session, name: str, vault_password_file: Path | None, offline: bool) -> Result:
    """At the hospital: make the evidence of the latest version of a dataset of the vault again, from what is there.

    Every image or record is hashed, the root recomputed, and of images a sample searched for text and attributes once
    more. The digest must be the one that was made with the version and, where that is registered, the one on the chain.
    Another version of a tool can change it too: what differs is named. What a cohort of records says of itself is taken
    as it was stated.
    """
    from protocol.holdings import registered_version
    from protocol.vault import evidence, record_evidence
    from protocol.vault.record_dataset import RecordDataset

    made, vault = _of_vault(session, name, vault_password_file)
    with working("Reading and hashing everything"):
        of_records = isinstance(made, RecordDataset)
        found = record_evidence.audit(made) if of_records else evidence.audit(vault, made)
    on_chain = None
    if made.dataset_id is not None and not offline:
        on_chain = registered_version(session.chain, made).version.evidence_digest
    return _audited(made, found, on_chain)


@dataset.command(
    examples=[
        "salus --home /srv/salus dataset uses --name breast --vault-password-file pw",
        "salus dataset uses --name breast --vault-password-file pw --json",
    ],
)
@name_option
@vault_password
@click.pass_obj
def uses(session: Session, name: str, vault_password_file: Path | None) -> Result:
    """List the models that learned from images or records of patients who withdrew since.

    Those are the models of jobs that had pinned a version of the dataset from before the withdrawal, and the models
    that go back to them. What they learned stays in them; a released one is withdrawn by a vote.
    """
    made, _ = _of_vault(session, name, vault_password_file)
    with working("Reading jobs and models"):
        found = models_used(session, made, made.revoked())
    return Result(
        {"dataset_id": made.dataset_id, "revoked_versions": made.revoked(), "models": uses_document(found)},
        [uses_view(found)],
    )


@dataset.command(
    examples=[
        "salus --home /srv/salus dataset backup salus.backup --password-file pw",
        "salus dataset backup salus.backup --name heart --records --password-file pw --json",
    ],
)
@click.argument("target", type=NEW_FILE)
@click.option("--name", "names", multiple=True, help="Only this dataset; may be repeated [all of --home].")
@click.option(
    "--records",
    is_flag=True,
    help="The records of tables too. Salts, splits and commitments always are in it.",
)
@click.option("--no-keys", is_flag=True, help="Leave the keystore out.")
@click.option(
    "--password-file", type=EXISTING_FILE, help="File with the back-up's password in its first line."
)
@click.pass_obj
def backup(
    session: Session,
    target: Path,
    names: tuple[str, ...],
    records: bool,
    no_keys: bool,
    password_file: Path | None,
) -> Result:
    """Keep salts, commitments and keys in one encrypted file. Without its salts a dataset proves and trains no more.

    Datasets of records are kept whole, with --records or without: the vault seals salts and records together.
    """
    from protocol.data.backup import backup as keep

    folders = [existing_dataset(session, name) for name in names] or _folders(session)
    password = session.password(f"Password for {target}", password_file, confirm=True)
    with working("Encrypting"):
        kept = keep(
            target,
            password,
            datasets=folders,
            keystore=None if no_keys else session.settings.keystore,
            records=records,
        )
    return Result(
        {"file": target, "kept": kept},
        [
            done(f"Wrote {target}: {len(kept)} files, encrypted."),
            "Keep it and its password apart. To erase a patient's record for good, erase it from back-ups too.",
            next_commands(f"salus --home NEW dataset restore {target}"),
        ],
    )


@dataset.command(
    examples=[
        "salus --home /srv/salus-new dataset restore salus.backup --password-file pw",
        "salus --home /srv/salus-new dataset restore salus.backup --password-file pw --json",
    ],
)
@click.argument("source", type=EXISTING_FILE)
@click.option(
    "--password-file", type=EXISTING_FILE, help="File with the back-up's password in its first line."
)
@click.pass_obj
def restore(session: Session, source: Path, password_file: Path | None) -> Result:
    """Put a back-up into --home. Nothing that is there is replaced."""
    from protocol.data.backup import restore as put_back

    password = session.password(f"Password of {source}", password_file)
    with working("Decrypting"):
        written = put_back(source, password, session.settings.home)
    return Result(
        {"home": session.settings.home, "files": written},
        [
            done(f"Restored {len(written)} files into {session.settings.home}."),
            next_commands(f"salus --home {session.settings.home} dataset verify --name NAME"),
        ],
    )


def models_used(session: Session, made: HospitalDataset, versions: Sequence[int]) -> list[ModelUse]:
    """The models that learned from some versions of a dataset folder. Raises ChainError, InvalidInput."""
    from protocol.vault.images import opened
    from protocol.withdrawal import models_that_used

    if made.dataset_id is None:
        return []
    roots = [opened(made.folder, number).root for number in versions]
    return models_that_used(session.chain, made.dataset_id, roots)


def uses_document(found: list[ModelUse]) -> list[dict[str, Any]]:
    """What `models_used` found, for --json."""
    return [
        {
            "model_id": each.model_id,
            "version": each.version,
            "status": each.status.name.lower(),
            "job_id": each.job_id,
            "dataset_versions": each.dataset_versions,
        }
        for each in found
    ]


def uses_view(found: list[ModelUse]) -> Any:
    """What `models_used` found, for people."""
    return table(
        ["Model", "Status", ">Job", "Learned from"],
        (
            (
                f"{each.model_id}@{each.version}",
                each.status.name.lower(),
                each.job_id,
                f"version {', '.join(map(str, each.dataset_versions))} of the dataset"
                if each.dataset_versions
                else "a model in this list",
            )
            for each in found
        ),
        empty="No model learned from a patient who has withdrawn.",
    )


def _of_vault(
    session: Session, name: str, password_file: Path | None
) -> tuple[ImageDataset | RecordDataset, Vault]:
    from protocol.cli.vault import open_vault
    from protocol.vault.images import opened

    folder = existing_dataset(session, name)
    if not opened(folder).needs_vault:
        raise DataError(f"Dataset {name} is of a table.", f"Run `salus dataset verify --name {name}`.")
    vault = open_vault(session, password_file)
    made = opened(folder, vault=vault)
    return made, vault


def _audited(made: ImageDataset | RecordDataset, found: Audit, on_chain: bytes | None) -> Result:
    ok = found.same and on_chain in (None, found.found)
    if ok:
        where = "and what the chain has" if on_chain else "and was not held against the chain"
        head = done(f"The evidence of version {made.version} is what the vault gives, {where}.")
    elif not found.same:
        head = f"The evidence of version {made.version} differs in: {', '.join(found.differing)}."
    else:
        head = f"The evidence of version {made.version} is not what the chain has."
    stated: dict[str, Any] = {
        "stated": to_cid(found.stated),
        "found": to_cid(found.found),
        "on the chain": to_cid(on_chain) if on_chain else "not asked, or not registered",
    }
    if sample := found.document.get("sample"):
        stated["looked at again"] = (
            f"{sample['instances']} images: text at {sample['text']} places, {sample['outside']} not black beyond their"
            f" regions, {sample['attributes']} attributes too many"
        )
    return Result(
        {
            "ok": ok,
            "dataset_id": made.dataset_id,
            "version": made.version,
            "stated": found.stated,
            "found": found.found,
            "on_chain": on_chain,
            "differing": found.differing,
            "evidence": found.document,
        },
        [
            head,
            facts(stated),
        ],
        ok=ok,
    )


def _folders(session: Session) -> list[Path]:
    return sorted(path.parent for path in (session.settings.home / "datasets").glob("*/manifest.json"))


def dataset_folder(session: Session, name: str) -> Path:
    """The folder of a dataset of this home, there or not. Raises DataError for what is no name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise DataError(
            f"{name!r} is not a name for a dataset.",
            "Use 1 to 64 letters, digits, dots, dashes or underscores.",
        )
    return session.settings.home / "datasets" / name


def existing_dataset(session: Session, name: str) -> Path:
    """The folder of a dataset that this home has. Raises DataError."""
    folder = dataset_folder(session, name)
    if not (folder / "manifest.json").is_file():
        known = ", ".join(each.name for each in _folders(session)) or "none"
        raise DataError(f"There is no dataset {name} in {session.settings.home}.", f"There is: {known}.")
    return folder


def read_schema(schema: str) -> Schema:
    """A schema file, or else a packaged schema by name."""
    import json

    from protocol.data.images import packaged, schema_of

    path = Path(schema)
    if not path.is_file():
        return packaged(schema)
    try:
        return schema_of(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON: {error}.", "A schema is a JSON object; `docs/PROTOCOL.md` says which."
        ) from error


def _table_schema(schema: str) -> DataSchema:
    from protocol.data.schema import DataSchema

    read = read_schema(schema)
    if not isinstance(read, DataSchema):
        raise DataError(
            f"The schema {read.name} is of images.", "Make their dataset with `salus vault dataset`."
        )
    return read


def _registered(made: HospitalDataset, receipt: Receipt) -> Result:
    args = receipt.event("DatasetVersionRegistered").args
    return Result(
        {
            "dataset_id": args["datasetId"],
            "hospital_id": args["hospitalId"],
            "version": args["version"],
            "root": made.root,
            "train_records": made.train_records,
            "held_out_records": made.held_out_records,
            "schema": made.schema.name,
            "schema_cid": to_cid(made.schema.digest()),
            "folder": made.folder,
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [
            done(
                f"Hospital {args['hospitalId']} has registered dataset {args['datasetId']}, version {args['version']}."
            ),
            facts(
                {
                    "records": f"{made.train_records} for training, {made.held_out_records} held out",
                    "schema": made.schema.name,
                    "root": "0x" + made.root.hex(),
                    "folder": made.folder,
                    "gas": f"{receipt.gas_used:,}",
                }
            ),
            "Back up its salts: without them nothing can be proved or trained again.",
            next_commands(
                f"salus dataset backup FILE --name {made.folder.name}",
                f"salus consent mint --dataset {args['datasetId']} --permission HMB --expires-in 1y --max-rounds 100"
                " --account ADMIN",
            ),
        ],
    )


def _document(found: DatasetOverview) -> dict[str, Any]:
    return {
        "dataset_id": found.dataset_id,
        "hospital_id": found.hospital_id,
        "schema": found.schema.to_dict() if found.schema else None,
        "problem": found.problem,
        "versions": [
            {
                "version": each.number,
                "root": each.version.root,
                "train_records": each.version.train_records,
                "held_out_records": each.version.held_out_records,
                "schema_cid": to_cid(each.version.schema_digest),
                "evidence_cid": to_cid(each.version.evidence_digest),
                "profile": each.version.profile.rstrip(b"\0").decode("ascii", "replace"),
                "tx_hash": each.event.tx_hash,
            }
            for each in found.versions
        ],
        "live_consents": [
            {"consent_id": number, "terms": terms_document(consent.terms)}
            for number, consent in found.consents.items()
        ],
    }


def _schema_words(found: DatasetOverview) -> str:
    if found.schema is None:
        return f"? {found.problem}"
    columns, label = found.schema.names[:-1], found.schema.names[-1]
    more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    return f"{found.schema.name}: {label} from {', '.join(columns[:SHOWN_COLUMNS])}{more}"


def _consent_words(number: int, consent: Any) -> str:
    modifiers = " ".join(duo.modifiers(consent.terms.modifiers))
    words = f"{number}: {permission_words(consent.terms, short=True)}"
    return f"{words} {modifiers}, until {moment(consent.terms.expires_at)}".replace(" ,", ",")
