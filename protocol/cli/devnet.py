"""``salus devnet``: a development network on this machine."""

from __future__ import annotations

import click

from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, next_commands, working
from protocol.cli.session import Session
from protocol.errors import DevnetError


@click.group(cls=Group)
def devnet() -> None:
    """A development network on this machine: Ganache, an IPFS daemon and the contracts, kept in .salus/devnet."""


@devnet.command(examples=["salus devnet up", "salus devnet up --json"])
@click.pass_obj
def up(session: Session) -> Result:
    """Start the chain and the IPFS daemon where they stopped; on the first start, deploy the contracts."""
    with working("Starting the development network") as work:
        status = session.devnet.up(work.say)
    return Result(
        _document(status),
        [
            done("The development network is up."),
            _facts(status),
            f"Its accounts open with the password in {session.devnet.password_file}.",
            next_commands("salus account list", "salus hospital list", "salus devnet down"),
        ],
    )


@devnet.command(examples=["salus devnet down", "salus devnet down --json"])
@click.pass_obj
def down(session: Session) -> Result:
    """Stop the chain and the IPFS daemon. Their state stays for the next `up`."""
    with working("Stopping the development network"):
        ran = session.devnet.down()
    line = "The development network has stopped; its state is kept." if ran else "Nothing was running."
    return Result({"stopped": ran, "home": session.devnet.home}, [done(line)])


@devnet.command(examples=["salus devnet status", "salus devnet status --json"])
@click.pass_obj
def status(session: Session) -> Result:
    """Say what runs, and where. Exit code 1 when it does not run."""
    found = session.devnet.status()
    state = "running" if found.running else "down"
    view = [facts({"state": state}), _facts(found)]
    if not found.running:
        view.append(next_commands("salus devnet up"))
    return Result(_document(found), view, ok=found.running)


@devnet.command(examples=["salus devnet reset --yes", "salus devnet reset --yes --json"])
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(session: Session, yes: bool) -> Result:
    """Stop the network and delete its chain, its files and its development accounts."""
    if not yes:
        if not click.get_text_stream("stdin").isatty():
            raise DevnetError(
                f"Nothing was deleted: {session.devnet.home} holds a chain, files and keys.",
                "Say --yes to delete them.",
            )
        click.confirm(
            f"Delete the chain, the files and the accounts in {session.devnet.home}?", abort=True, err=True
        )
    with working("Resetting the development network"):
        session.devnet.reset()
    return Result({"reset": True, "home": session.devnet.home}, [done("The development network is gone.")])


def _document(status: object) -> dict[str, object]:
    return {
        "running": status.running,
        "home": status.home,
        "rpc_url": status.rpc_url,
        "chain_pid": status.chain_pid,
        "block": status.block,
        "ipfs_api": status.ipfs_api,
        "ipfs_pid": status.ipfs_pid,
        "deployed": status.deployed,
    }


def _facts(status: object) -> object:
    return facts(
        {
            "chain": _daemon(status.rpc_url, status.chain_pid),
            "block": "—" if status.block is None else f"{status.block:,}",
            "IPFS": _daemon(status.ipfs_api, status.ipfs_pid),
            "contracts": "deployed" if status.deployed else "not deployed",
            "folder": status.home,
        }
    )


def _daemon(url: str | None, pid: int | None) -> str:
    return f"{url}, process {pid}" if pid is not None else "down"
