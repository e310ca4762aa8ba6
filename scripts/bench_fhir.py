"""What the import of FHIR records leaves of what was planted, what it keeps, and how fast it is.

python scripts/bench_fhir.py

Speed: resources a second of one thread (processor time), the whole way from NDJSON on the disk to de-identified
resources, without writing them; beside the same lines, parsed by the fastest library there is, and nothing done with
them. Free text is measured by bench_notes; here only the patient's own names and numbers stand in it.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import simdjson
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.data import synthea
from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import DataUnavailable
from protocol.fhir import synthetic
from protocol.fhir.importing import deidentified
from protocol.fhir.reading import Refused, Source
from protocol.fhir.resource import Clean
from protocol.fhir.rules import Rules
from protocol.notes.deidentify import Deidentifier

ROOT = Path(__file__).resolve().parent.parent
PSEUDONYMS = Pseudonyms(bytes(range(32)))
PATIENTS = 60
#: Apart from the seeds that the tests draw from.
FIRST_SEED = 1_000
MADE, RUNS = 600, 5
GOALS = {"recall": 0.999, "kept": 0.98, "observations": 20_000}
_URN = re.compile(rb"urn:uuid:[0-9a-f-]{36}")


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="salus-fhir-") as folder:
        say("Identifiers planted in every element of 27 types of resources")
        recall = _recall(Path(folder))
        say("Speed of the import")
        return {"recall": recall, "speed": _speed(Path(folder)), "goals": GOALS}


# --- recall ---


def _recall(folder: Path) -> dict[str, Any]:
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from tests.protocol.fhir import planted

    rules = Rules.packaged()
    everyone = [made for each in planted.patients(PATIENTS, FIRST_SEED, rules) for made in each]
    path = folder / "planted.ndjson"
    path.write_bytes(b"".join(orjson.dumps(made.resource) + b"\n" for made in everyone))
    clean = {
        each.key: each.content
        for each in deidentified(Source([path]), rules, PSEUDONYMS, Deidentifier())
        if isinstance(each, Clean)
    }
    count, left, stays, gone = Counter[str](), Counter[str](), 0, 0
    for made in everyone:
        content = clean[PSEUDONYMS.resource(made.resource["resourceType"], made.resource["id"])]
        # Bytes as they are stored, and what stands in base64 in them.
        stored = (orjson.dumps(content).decode() + "\n".join(planted.texts_of(content))).lower()
        for plant in made.plants:
            count[plant.place] += 1
            left[plant.place] += plant.token.lower() in stored
        stays += len(made.stays)
        gone += sum(value not in planted.at(content, where) for where, value in made.stays)
    return {
        "patients": PATIENTS,
        "resources": len(everyone),
        "types": len(planted.TYPES),
        "places": {place: {"planted": count[place], "left": left[place]} for place in sorted(count)},
        "planted": count.total(),
        "left": left.total(),
        "recall": 1 - left.total() / count.total(),
        "stays": stays,
        "kept": 1 - gone / stays,
    }


# --- speed ---


def _speed(folder: Path) -> dict[str, Any]:
    try:
        bundles, title = list(synthea.bundles()), "Synthea, 99 patients"
    except DataUnavailable:
        bundles, title = list(synthetic.patients(MADE, FIRST_SEED)), f"made up, {MADE} patients"
    lines = list(_lines(bundles))
    kinds = {
        "all types": [line for _, line in lines],
        "observations": [line for kind, line in lines if kind in ("Patient", "Observation")],
    }
    return {"data": title, "kinds": {name: _of(folder, each) for name, each in kinds.items()}}


def _lines(bundles: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Type and NDJSON of each resource, with references by type and id, as a server exports them."""
    for bundle in bundles:
        named = {}
        for entry in bundle["entry"]:
            resource = entry["resource"]
            named[entry["fullUrl"].encode()] = f"{resource['resourceType']}/{resource['id']}".encode()
        for entry in bundle["entry"]:
            line = _URN.sub(
                lambda found, named=named: named.get(found[0], found[0]), orjson.dumps(entry["resource"])
            )
            yield entry["resource"]["resourceType"], line + b"\n"


def _of(folder: Path, lines: list[bytes]) -> dict[str, Any]:
    path = folder / "speed.ndjson"
    path.write_bytes(b"".join(lines))
    rules, notes = Rules.packaged(), Deidentifier()
    notes.clean("Its lists are loaded with the first note.")
    taken, refused = _counted(path, rules, notes)
    times: dict[str, list[float]] = {
        name: [] for name in ("import", "orjson", "simdjson, lazily", "simdjson, whole")
    }
    parser = simdjson.Parser()

    def lazily() -> None:
        for line in lines:
            parser.parse(line)

    work: dict[str, Callable[[], object]] = {
        "import": lambda: _counted(path, rules, notes),
        "orjson": lambda: [orjson.loads(line) for line in lines],
        "simdjson, lazily": lazily,
        "simdjson, whole": lambda: [parser.parse(line, True) for line in lines],
    }
    for _ in range(RUNS):
        for name, each in work.items():
            began = time.process_time()
            each()
            times[name].append(time.process_time() - began)
    rates = {name: len(lines) / median(each) for name, each in times.items()}
    parsers = {name: rate for name, rate in rates.items() if name != "import"}
    fastest = max(parsers, key=lambda name: parsers[name])
    return {
        "resources": len(lines),
        "bytes": sum(map(len, lines)),
        "taken": taken,
        "refused": refused,
        "a_second": rates["import"],
        "parsers": parsers,
        "fastest": fastest,
        "share": rates["import"] / rates[fastest],
    }


def _counted(path: Path, rules: Rules, notes: Deidentifier) -> tuple[int, int]:
    taken = refused = 0
    for each in deidentified(Source([path]), rules, PSEUDONYMS, notes):
        if isinstance(each, Refused):
            refused += 1
        else:
            taken += 1
    return taken, refused


# --- tables ---


def show(result: dict[str, Any], console: Console) -> None:
    """Prints recall by place, and speed."""
    _show_recall(result["recall"], console)
    _show_speed(result["speed"], console)


def _show_recall(recall: dict[str, Any], console: Console) -> None:
    title = f"Identifiers planted in FHIR R4: {recall['resources']:,} resources of {recall['types']} types"
    table = Table(title=title, box=SIMPLE)
    for column in ("where", "planted", "left", "recall"):
        table.add_column(column, justify="left" if column == "where" else "right")
    for place, each in recall["places"].items():
        share = 1 - each["left"] / each["planted"]
        table.add_row(place, f"{each['planted']:,}", f"{each['left']:,}", f"{share:.2%}")
    table.add_row(
        "all", f"{recall['planted']:,}", f"{recall['left']:,}", f"{recall['recall']:.3%}", style="bold"
    )
    console.print(table)
    console.print(
        f"Goal: 99.9 %. Of {recall['stays']:,} codes, numbers and units that should stay, {recall['kept']:.2%} stayed."
    )


def _show_speed(speed: dict[str, Any], console: Console) -> None:
    table = Table(title=f"Import of NDJSON, resources a second and core ({speed['data']})", box=SIMPLE)
    for column in ("", "resources", "MB", "import", "only parsed", "by"):
        table.add_column(column, justify="right" if column not in ("", "by") else "left")
    for name, each in speed["kinds"].items():
        table.add_row(
            name,
            f"{each['resources']:,}",
            f"{each['bytes'] / 1e6:.0f}",
            f"{each['a_second']:,.0f}",
            f"{each['parsers'][each['fastest']]:,.0f}",
            each["fastest"],
        )
    console.print(table)
    console.print("The import reads each line twice. Goal: 20,000 observations a second.")


if __name__ == "__main__":
    out = Console()
    show(run(lambda line: out.print(f"[dim]{line}[/dim]")), out)
