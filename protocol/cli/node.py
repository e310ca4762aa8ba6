"""``salus node``: a hospital's daemon."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import EXISTING_FILE, signing, vault_password
from protocol.cli.command import Group, log_in_json
from protocol.cli.output import PRIVACY_NONE, Result, done, facts, table
from protocol.cli.session import Session
from protocol.errors import ChainUnreachable, NodeError

if TYPE_CHECKING:
    from protocol.node.node import Node

log = logging.getLogger(__name__)

WAIT_SECONDS = 2.0


@click.group(cls=Group)
def node() -> None:
    """A hospital's node: finds jobs that its policy and consents allow, trains, checks every merge."""


@node.command(
    examples=[
        "salus --home /srv/salus node run --account cleveland-operator --policy policy.json --password-file pw",
        "salus node run --account cleveland-operator --policy policy.json --until-idle",
        "salus node run --account cleveland-operator --policy policy.json --vault-password-file pw",
    ],
)
@signing
@vault_password
@click.option(
    "--policy", "policy_file", type=EXISTING_FILE, required=True, help="The hospital's admission policy."
)
@click.option("--until-idle", is_flag=True, help="End when every job that the node joined has ended.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    envvar="SALUS_METRICS_PORT",
    show_envvar=True,
    help="Serve /metrics (Prometheus) and /healthz on this port of 127.0.0.1.",
)
@click.option("--log-json", is_flag=True, help="Log one JSON document a line.")
@click.pass_obj
def run(
    session: Session,
    account: str,
    password_file: Path | None,
    vault_password_file: Path | None,
    policy_file: Path,
    until_idle: bool,
    metrics_port: int | None,
    log_json: bool,
) -> Result:
    """Run the node until Ctrl-C or SIGTERM. It may be killed at any point and started again.

    Needs outbound connections only, and opens no port unless it is told to serve metrics. Datasets, journal and status
    lie in --home. A dataset of images takes part only when the vault that holds them is opened. A job with privacy:
    none is joined only if the policy allows that mechanism in so many words; its updates then lie unmasked on IPFS.
    """
    from protocol.node.metrics import Endpoint
    from protocol.node.node import Node
    from protocol.node.policy import Policy

    policy = Policy.load(policy_file)
    signer, vault = session.signer(account, password_file), session.vault(vault_password_file)
    started = _once_the_chain_answers(
        lambda: Node(session.chain.with_signer(signer), session.ipfs, session.settings.home, policy, vault)
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.getLogger("protocol").setLevel(logging.INFO)
    if log_json:
        log_in_json()
    with nullcontext() if metrics_port is None else Endpoint(started, metrics_port):
        started.run(stop, until_idle=until_idle)
    document = {
        "hospital_id": started.hospital_id,
        "jobs": {str(job_id): progress for job_id, progress in started.status.jobs.items()},
        "refused": {str(job_id): reason for job_id, reason in started.refusals.items()},
    }
    return Result(
        document,
        [
            done(f"The node of hospital {started.hospital_id} has stopped."),
            *([_jobs(document["jobs"])] if document["jobs"] else []),
            *(f"Job {job_id}: {reason}" for job_id, reason in document["refused"].items()),
        ],
        notices=_notices(document["jobs"]),
    )


@node.command(examples=["salus node policy --example > policy.json", "salus node policy policy.json --json"])
@click.argument("policy_file", type=EXISTING_FILE, required=False)
@click.option("--example", is_flag=True, help="Print a policy to start from.")
@click.pass_obj
def policy(_session: Session, policy_file: Path | None, example: bool) -> Result:
    """Check a policy file, or print an example: a policy admits only what it names."""
    from protocol.node.policy import EXAMPLE, Policy

    if example == (policy_file is not None):
        raise click.UsageError("Give either a policy file to check or --example.")
    chosen = EXAMPLE if policy_file is None else Policy.load(policy_file)
    text = json.dumps(chosen.as_dict(), indent=2)
    return Result(chosen.as_dict(), [text])


@node.command(examples=["salus --home /srv/salus node status", "salus node status --json"])
@click.pass_obj
def status(session: Session) -> Result:
    """What the node of this home is doing, as it last said itself."""
    path = session.settings.home / "status.json"
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NodeError(
            f"No node has run in {session.settings.home}.",
            "Start one with `salus node run`, or name its --home.",
        ) from None
    except ValueError as error:
        raise NodeError(
            f"{path} is not a node's status: {error}.", "It is written anew when the node runs."
        ) from error
    running = _runs(said["pid"]) and said["doing"] != "stopped"
    document = {**said, "running": running}
    view = [
        facts(
            {
                "hospital": said["hospital_id"],
                "running": f"yes, process {said['pid']}" if running else "no",
                "since": datetime.fromtimestamp(said["since"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                "doing": said["doing"],
                **({"chain": said["chain"]} if said.get("chain") else {}),
            }
        )
    ]
    if said["jobs"]:
        view.append(_jobs(said["jobs"]))
        view += [f"Job {job_id}: {each['doing']}" for job_id, each in said["jobs"].items() if each["doing"]]
    for job_id, reason in said.get("refused", {}).items():
        view.append(f"{'Held up in' if job_id in said['jobs'] else 'Not in'} job {job_id}: {reason}")
    return Result(document, view, notices=_notices(said["jobs"]))


def _once_the_chain_answers(make: Callable[[], Node]) -> Node:
    """A daemon that starts before its chain node waits for it, as it would later."""
    while True:
        try:
            return make()
        except ChainUnreachable as error:
            log.warning("%s", error)
            time.sleep(WAIT_SECONDS)


def _notices(jobs: dict[str, dict[str, Any]]) -> list[str]:
    return [f"job {job_id}: {PRIVACY_NONE}" for job_id, each in jobs.items() if each["privacy"] == "none"]


def _jobs(jobs: dict[str, dict[str, Any]]) -> Any:
    return table(
        ["job", ">round", ">loss", ">accuracy here", ">training s", ">gas"],
        (
            (
                job_id,
                each["round"],
                "—" if each["loss"] is None else f"{each['loss']:.4f}",
                "—" if each["accuracy"] is None else f"{each['accuracy']:.3f}",
                f"{each['train_seconds']:.2f}",
                f"{each['gas_used']:,}",
            )
            for job_id, each in jobs.items()
        ),
    )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
