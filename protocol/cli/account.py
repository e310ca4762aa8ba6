"""``salus account``: keys in the keystore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from protocol.cli.arguments import EXISTING_FILE
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, next_commands, table, tokens, working
from protocol.cli.session import Session

password_option = click.option(
    "--password-file",
    type=EXISTING_FILE,
    envvar="SALUS_PASSWORD_FILE",
    show_envvar=True,
    help="File with the account's password in its first line [the network's, else it is asked for].",
)


@click.group(cls=Group)
def account() -> None:
    """Keys in the keystore: encrypted files (keystore v3, scrypt) that only their owner may read."""


@account.command(
    examples=[
        "salus account new cleveland-admin",
        "salus account new cleveland-operator --password-file pw --json",
    ]
)
@click.argument("name")
@click.option("--fund", is_flag=True, help="On the development network: give it ether to pay for gas.")
@password_option
@click.pass_obj
def new(session: Session, name: str, fund: bool, password_file: Path | None) -> Result:
    """Make a new key and keep it encrypted under NAME."""
    devnet = session.devnet if fund else None
    if devnet is not None:
        session.chain  # noqa: B018 - a network that does not run is refused before a key is made
    made = session.keystore.new(
        name, session.password(f"New password for {name}", password_file, confirm=True)
    )
    if devnet is not None:
        devnet.fund(made.address)
    return Result(
        {"name": made.name, "address": made.address, "file": made.path, "funded": fund},
        [
            done(f"Account {made.name} is made."),
            facts({"address": made.address, "file": made.path}),
            "Back up the file and its password: nobody can recover them.",
        ],
    )


@account.command("list", examples=["salus account list", "salus account list --offline --json"])
@click.option("--offline", is_flag=True, help="Do not ask the chain for balances, roles and votes.")
@click.pass_obj
def list_accounts(session: Session, offline: bool) -> Result:
    """Show the accounts, and unless --offline what each is on the chain."""
    with working("Reading accounts"):
        rows = [
            {
                "name": each.name,
                "address": each.address,
                **({} if offline else _on_chain(session, each.address)),
            }
            for each in session.keystore.list()
        ]
    columns = ["name", "address"] if offline else ["name", "address", ">ether", "acts for", ">votes"]
    view: list[Any] = [
        table(
            columns,
            (_cells(row, offline) for row in rows),
            empty=f"There is no account in {session.settings.keystore}.",
        )
    ]
    if not rows:
        view.append(next_commands("salus account new NAME", "salus account import NAME --key-file FILE"))
    return Result({"keystore": session.settings.keystore, "accounts": rows}, view)


@account.command(
    "import",
    examples=[
        "salus account import cleveland-admin --key-file key.hex --password-file pw",
        "salus account import cleveland-admin --key-file wallet.json --key-password-file old --password-file pw",
    ],
)
@click.argument("name")
@click.option(
    "--key-file",
    type=EXISTING_FILE,
    required=True,
    help="File with a private key in hexadecimal, or a keystore v3 file of another program.",
)
@click.option(
    "--key-password-file", type=EXISTING_FILE, help="File with the password that opens that keystore file."
)
@password_option
@click.pass_obj
def import_account(
    session: Session, name: str, key_file: Path, key_password_file: Path | None, password_file: Path | None
) -> Result:
    """Take over a key and keep it encrypted under NAME. Never type a private key on a command line."""
    key = key_file.read_text(encoding="utf-8", errors="replace")
    key_password = None
    if key.lstrip().startswith("{"):
        key_password = session.password(f"Password of {key_file}", key_password_file)
    password = session.password(f"New password for {name}", password_file, confirm=True)
    made = session.keystore.import_key(name, key, password, key_password=key_password)
    return Result(
        {"name": made.name, "address": made.address, "file": made.path},
        [
            done(f"Account {made.name} is imported."),
            facts({"address": made.address, "file": made.path}),
            f"Delete {key_file} if nothing else needs it.",
        ],
    )


def _on_chain(session: Session, address: str) -> dict[str, Any]:
    from protocol.chain.enums import Role
    from protocol.chain.hospitals import Hospitals
    from protocol.chain.votes import Votes

    hospital_id, role = Hospitals(session.chain).role_of(address)
    return {
        "balance_wei": str(session.chain.balance(address)),
        "hospital_id": hospital_id or None,
        "role": None if role == Role.NONE else role.name.lower(),
        "votes": str(Votes(session.chain).power(address)),
    }


def _cells(row: dict[str, Any], offline: bool) -> list[str]:
    if offline:
        return [row["name"], row["address"]]
    acts = f"hospital {row['hospital_id']} ({row['role']})" if row["role"] else ""
    return [
        row["name"],
        row["address"],
        f"{int(row['balance_wei']) / 1e18:,.4f}",
        acts,
        tokens(int(row["votes"])),
    ]
