"""Time of a round beyond local training, with four node processes and a model of 400,000 parameters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench_stage import Hospital, Stage
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.chain.enums import JobStatus
from protocol.chain.jobs import Jobs
from protocol.demo.data import DemoData
from protocol.errors import DevnetError
from protocol.learning import zoo
from protocol.node.policy import Policy
from protocol.spec import JobSpec
from protocol.templates import Template

WARM_UP = 2
MEASURED = 12
HIDDEN = [625, 625]
LIMIT_SECONDS = 1.5
PATIENCE_SECONDS = 240
LOOK_SECONDS = 0.5
# The base is version 1 of its model.
FIRST_VERSION = 2
NODE = Path(__file__).with_name("bench_node.py")
# What the parts of `bench_node` are called in the table, in the order in which a round takes them.
WORDS = {
    "look": "look at the chain, and wait for it",
    "fetch": "fetch vectors, matched to their ids",
    "merge": "merge",
    "chunk root": "chunk roots",
    "train": "local training",
    "evaluate": "evaluate on held-out records",
    "quantise": "quantise",
    "mask": "mask",
    "journal": "journal, synced to the disk",
    "pin": "pin on IPFS",
    "submit": "submit: estimate, sign, send, receipt",
    "post": "post the merge: estimate, sign, send, receipt",
}


@dataclass(frozen=True)
class Span:
    """One part of one node's work; seconds of the machine's monotonic clock."""

    node: int
    name: str
    began: float
    ended: float
    round: int | None


def run(
    stage: Stage,
    data: DemoData,
    *,
    warm_up: int = WARM_UP,
    measured: int = MEASURED,
    patience_seconds: float = PATIENCE_SECONDS,
    **changes: Any,
) -> dict[str, Any]:
    """Seconds of each measured round, of its longest local training, and along the path that decided its length.

    A node for each hospital of ``data``; ``changes`` replace whole fields of the spec. Raises DevnetError when a node
    stops or the job takes too long.
    """
    hospitals = stage.admit(len(data.hospitals))
    for hospital, records in zip(hospitals, data.hospitals, strict=True):
        stage.register_records(hospital, records, data.schema)
    rounds = warm_up + measured
    chosen = template(data)
    job_id, model_id, spec = stage.propose(
        chosen,
        data.schema,
        **{"rounds": rounds, "hospitals": {"min": len(hospitals), "max": len(hospitals)}, **changes},
    )
    nodes = [_start(stage, hospital, spec) for hospital in hospitals]
    try:
        processor = _wait(stage, job_id, nodes, warm_up, patience_seconds)
    except DevnetError as error:
        logs = [(stage.home / each.name / "node.log").read_text()[-500:] for each in hospitals]
        raise DevnetError(error.message, "\n".join(logs)) from error
    finally:
        _stop(nodes)
    spans = [span for index, each in enumerate(hospitals) for span in _read(index, _spans_file(stage, each))]
    measured = [_round(spans, number) for number in range(warm_up + 1, rounds + 1)]
    names = list(dict.fromkeys(name for each in measured for name in each["path"]))
    return {
        "parameters": zoo.layout(spec.model, spec.state).lanes,
        "hospitals": len(hospitals),
        "privacy": spec.privacy.mechanism,
        "local_epochs": spec.training.local_epochs,
        "job_id": job_id,
        "job_rounds": rounds,
        "rounds": measured,
        "seconds": median(each["seconds"] for each in measured),
        "training": median(each["training"] for each in measured),
        "beyond_training": median(each["seconds"] - each["training"] for each in measured),
        "limit": LIMIT_SECONDS,
        "path": {name: median(each["path"].get(name, 0.0) for each in measured) for name in names},
        "processor": processor,
        "model_id": model_id,
        "version": FIRST_VERSION,
    }


def template(data: DemoData) -> Template:
    """The demonstration's job with a model of 400,000 parameters, one local epoch and no gate."""
    inputs = data.template.model.parameters["inputs"]
    document = data.template.document
    return Template(
        {
            **document,
            "title": "Round time",
            "model": {
                "architecture": "mlp",
                "parameters": {"inputs": inputs, "hidden": HIDDEN, "outputs": 1},
            },
            "training": {**document["training"], "local_epochs": 1},
            "gate": {"accuracy_bps": 1},
        }
    )


def _start(stage: Stage, hospital: Hospital, spec: JobSpec) -> subprocess.Popen[bytes]:
    """The hospital's node, as the demonstration starts it."""
    home, accounts = stage.home / hospital.name, stage.devnet.accounts
    account = f"{hospital.name}-operator"
    accounts.keystore.import_key(account, hospital.operator_key, accounts.password)
    policy = Policy(
        architectures=(spec.model.architecture,), purposes=("HMB",), privacy=(spec.privacy.mechanism,)
    )
    (home / "policy.json").write_text(json.dumps(policy.as_dict()))
    with (home / "node.log").open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, str(NODE), str(_spans_file(stage, hospital)), "--home", str(home)),
                *("--rpc-url", stage.network.rpc_url, "--ipfs-api", stage.network.ipfs_api),
                *("--deployment", str(stage.devnet.deployment_file), "--keystore", str(accounts.folder)),
                *("node", "run", "--account", account, "--until-idle"),
                *("--policy", str(home / "policy.json"), "--password-file", str(accounts.password_file)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def _spans_file(stage: Stage, hospital: Hospital) -> Path:
    return stage.home / hospital.name / "spans.jsonl"


def _wait(
    stage: Stage,
    job_id: int,
    nodes: Sequence[subprocess.Popen[bytes]],
    warm_up: int,
    patience_seconds: float,
) -> dict[str, float]:
    """Waits for the end of the job; looks rarely, since every look takes time from the nodes. Returns the processor
    seconds that each kind of process took for a round."""
    jobs = Jobs(stage.chain)
    groups = {
        "chain": [stage.devnet.chain.pid()],
        "IPFS daemon": [stage.devnet.ipfs.pid()],
        "node, each": [node.pid for node in nodes],
    }
    deadline = time.monotonic() + patience_seconds
    began: tuple[int, dict[str, float]] | None = None
    passed = False
    while True:
        job, record = jobs.job_and_round(job_id)
        if job.status == JobStatus.FINISHED:
            break
        if not passed and job.status == JobStatus.REPORTING and record.submitted == record.participants:
            stage.pass_window()
            passed = True
        if job.status == JobStatus.RUNNING and job.round > warm_up:
            now = job.round, {name: _processor_seconds(pids) for name, pids in groups.items()}
            began, ended = began or now, now
        stopped = [index for index, node in enumerate(nodes) if node.poll() not in (None, 0)]
        if stopped or time.monotonic() > deadline:
            raise DevnetError(f"The job did not end in round {job.round}; nodes {stopped} stopped.")
        time.sleep(LOOK_SECONDS)
    if began is None or ended[0] == began[0]:
        return {}
    return {name: (ended[1][name] - began[1][name]) / (ended[0] - began[0]) for name in groups}


def _processor_seconds(pids: Sequence[int]) -> float:
    """User and system time of the processes, on average."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK") / len(pids)


def _stop(nodes: Sequence[subprocess.Popen[bytes]]) -> None:
    for node in nodes:
        if node.poll() is None:
            node.send_signal(signal.SIGTERM)
    for node in nodes:
        try:
            node.wait(timeout=30)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


def _read(node: int, path: Path) -> list[Span]:
    return [Span(node, *json.loads(line)) for line in path.read_text().splitlines()]


def _round(spans: Sequence[Span], number: int) -> dict[str, Any]:
    """A round lasts from the merge before it to its own. Its path: the work of the hospital whose update came last,
    until it came; then the work of the merger."""
    before, merged = (_only(spans, "post", each) for each in (number - 1, number))
    last = max(
        (span for span in spans if (span.name, span.round) == ("submit", number)), key=lambda span: span.ended
    )
    path: dict[str, float] = defaultdict(float)
    _add(path, "hospital", [span for span in spans if span.node == last.node], before.ended, last.ended)
    _add(path, "merger", [span for span in spans if span.node == merged.node], last.ended, merged.ended)
    training = [
        span.ended - span.began
        for span in spans
        if span.name == "train" and before.began < span.began < merged.ended
    ]
    return {
        "round": number,
        "seconds": merged.ended - before.ended,
        "training": max(training),
        "path": dict(path),
    }


def _only(spans: Sequence[Span], name: str, number: int) -> Span:
    """The one that succeeded, where one was refused before."""
    return max(
        (span for span in spans if (span.name, span.round) == (name, number)), key=lambda span: span.ended
    )


def _add(path: dict[str, float], who: str, spans: Sequence[Span], start: float, end: float) -> None:
    """Adds what a node did between two moments; what it did not spend on a part it spent looking and waiting."""
    rest = max(0.0, end - start)
    for span in spans:
        inside = min(span.ended, end) - max(span.began, start)
        if inside > 0 and span.name != "look":
            path[f"{who}: {span.name}"] += inside
            rest -= inside
    path[f"{who}: look"] += rest


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the time of a round, and where it goes."""
    table = Table(
        title=f"A round of {result['hospitals']} hospitals, {result['parameters']:,} parameters: seconds",
        box=SIMPLE,
    )
    for column in ("", "median", "least", "most"):
        table.add_column(column, justify="right" if column else "left")
    columns = {
        "a round, merge to merge": [each["seconds"] for each in result["rounds"]],
        "its longest local training": [each["training"] for each in result["rounds"]],
        f"beyond local training (limit {result['limit']})": [
            each["seconds"] - each["training"] for each in result["rounds"]
        ],
    }
    for name, seconds in columns.items():
        table.add_row(name, *(f"{value:.3f}" for value in (median(seconds), min(seconds), max(seconds))))
    console.print(table)

    where = Table(title=f"Where it goes: medians of {len(result['rounds'])} rounds", box=SIMPLE)
    where.add_column("part")
    where.add_column("seconds", justify="right")
    for who, words in (
        ("hospital", "the hospital whose update came last"),
        ("merger", "the merger after it"),
    ):
        where.add_row(f"[bold]{words}[/bold]", "")
        for part, meaning in WORDS.items():
            if seconds := result["path"].get(f"{who}: {part}"):
                where.add_row(f"  {meaning}", f"{seconds:.3f}")
    where.add_row("[bold]processor time of a round, whoever waits for it[/bold]", "")
    for name, seconds in result["processor"].items():
        where.add_row(f"  {name}", f"{seconds:.3f}")
    console.print(where)
