"""``salus hospital``: members of the network."""

from __future__ import annotations

from pathlib import Path

import click

from protocol.cli.arguments import ID, AddressType, signing
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, moment, next_commands, table, working
from protocol.cli.processing import processing
from protocol.cli.proposing import execute_option, propose
from protocol.cli.session import Session


@click.group(cls=Group)
def hospital() -> None:
    """Members of the network. The DAO admits and suspends; a hospital's admin changes its operator key."""


hospital.add_command(processing)


@hospital.command(
    examples=[
        "salus hospital admit 'Cleveland Clinic' --admin 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
        " --operator 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC --account voter",
        "salus hospital admit Basel --admin 0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
        " --operator 0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc --account voter --execute --json",
    ],
)
@click.argument("name")
@click.option("--admin", type=AddressType(), required=True, help="Cold account: consent and money.")
@click.option("--operator", type=AddressType(), required=True, help="Hot account: datasets and training.")
@click.option("--payout", type=AddressType(), help="Where the hospital is paid [the admin].")
@click.option("--caregivers", type=AddressType(), help="Where its caregivers' fund is paid [the admin].")
@click.option("--patients", type=AddressType(), help="Where its patients' fund is paid [the admin].")
@signing
@execute_option
@click.pass_obj
def admit(
    session: Session,
    name: str,
    admin: str,
    operator: str,
    payout: str | None,
    caregivers: str | None,
    patients: str | None,
    account: str,
    password_file: Path | None,
    execute: bool,
) -> Result:
    """Propose to the DAO to admit a hospital. The proposer needs the governor's threshold of votes."""
    from protocol.chain.hospitals import Funds
    from protocol.chain.votes import Call

    funds = Funds(payout or admin, caregivers or admin, patients or admin)
    call = Call("HospitalRegistry", "admit", (name, admin, operator, funds))
    return propose(session, [call], f"Admit hospital {name}", account, password_file, execute=execute)


@hospital.command(
    examples=[
        "salus hospital suspend 3 --account voter",
        "salus hospital suspend 3 --lift --account voter --execute",
    ]
)
@click.argument("hospital_id", type=ID)
@click.option("--lift", is_flag=True, help="Lift the suspension instead.")
@signing
@execute_option
@click.pass_obj
def suspend(
    session: Session, hospital_id: int, lift: bool, account: str, password_file: Path | None, execute: bool
) -> Result:
    """Propose to the DAO to suspend a hospital: it keeps its history and money, and trains no more."""
    from protocol.chain.hospitals import Hospitals
    from protocol.chain.votes import Call

    Hospitals(session.chain).hospital(hospital_id)
    call = Call("HospitalRegistry", "reinstate" if lift else "suspend", (hospital_id,))
    what = "Lift the suspension of" if lift else "Suspend"
    return propose(session, [call], f"{what} hospital {hospital_id}", account, password_file, execute=execute)


@hospital.command("list", examples=["salus hospital list", "salus hospital list --json"])
@click.pass_obj
def list_hospitals(session: Session) -> Result:
    """Show every hospital that was ever admitted."""
    from protocol.chain.hospitals import Hospitals

    with working("Reading hospitals"):
        found = Hospitals(session.chain).hospitals()
    return Result(
        {"hospitals": [_document(hospital_id, name, each) for hospital_id, name, each in found]},
        [
            table(
                [">id", "name", "state", "operator", "admin"],
                (
                    (
                        hospital_id,
                        name,
                        "suspended" if each.suspended else "active",
                        each.operator,
                        each.admin,
                    )
                    for hospital_id, name, each in found
                ),
                empty="No hospital has been admitted yet.",
            ),
            *(
                []
                if found
                else [
                    next_commands(
                        "salus hospital admit NAME --admin ADDRESS --operator ADDRESS --account NAME"
                    )
                ]
            ),
        ],
    )


@hospital.command(examples=["salus hospital show 1", "salus hospital show 1 --json"])
@click.argument("hospital_id", type=ID)
@click.pass_obj
def show(session: Session, hospital_id: int) -> Result:
    """Show a hospital: its accounts, its datasets, its consents."""
    from protocol.chain.consents import Consents
    from protocol.chain.datasets import Datasets
    from protocol.chain.hospitals import Hospitals

    hospitals, datasets, consents = (kind(session.chain) for kind in (Hospitals, Datasets, Consents))
    each = hospitals.hospital(hospital_id)
    name = hospitals.name(hospital_id)
    held = datasets.ids_of_hospital(hospital_id)
    given = [consent_id for dataset_id in held for consent_id in consents.ids_of_dataset(dataset_id)]
    return Result(
        {**_document(hospital_id, name, each), "datasets": held, "consents": given},
        [
            facts(
                {
                    "hospital": f"{hospital_id}, {name}",
                    "state": "suspended" if each.suspended else "active",
                    "admin": each.admin,
                    "operator": each.operator,
                    "payout": each.funds.payout,
                    "caregivers": each.funds.caregivers,
                    "patients": each.funds.patients,
                    "datasets": ", ".join(map(str, held)) or "none",
                    "consents": ", ".join(map(str, given)) or "none",
                }
            )
        ],
    )


@hospital.command(
    "rotate-key",
    examples=[
        "salus hospital rotate-key 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC --account cleveland-admin",
        "salus hospital rotate-key 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC --account cleveland-admin --json",
    ],
)
@click.argument("operator", type=AddressType())
@signing
@click.pass_obj
def rotate_key(session: Session, operator: str, account: str, password_file: Path | None) -> Result:
    """Replace the operator account of the admin's own hospital at once; the old one never acts again."""
    from protocol.chain.hospitals import Hospitals

    chain = session.chain_as(account, password_file)
    receipt = Hospitals(chain).rotate_operator(operator)
    args = receipt.event("OperatorRotated").args
    return Result(
        {
            "hospital_id": args["hospitalId"],
            "previous": args["previous"],
            "operator": args["current"],
            "rotated_at": receipt.timestamp,
            "tx_hash": receipt.tx_hash,
            "gas_used": receipt.gas_used,
        },
        [
            done(
                f"Hospital {args['hospitalId']} is operated by {args['current']} since {moment(receipt.timestamp)}."
            ),
            f"{args['previous']} is retired. Restart the hospital's node with the new account.",
        ],
    )


def _document(hospital_id: int, name: str, each: object) -> dict[str, object]:
    return {
        "hospital_id": hospital_id,
        "name": name,
        "suspended": each.suspended,
        "admin": each.admin,
        "operator": each.operator,
        "funds": each.funds,
    }
