"""What de-identification of notes finds of what was planted in them, in English and French, and how fast it is.

    python scripts/bench_notes.py            # what is reported
    python scripts/bench_notes.py develop    # what the detector was built with: other names, sentences and seed

Names come from names-dataset, without every name that the detector's own lists hold. The names are cut in two
halves, and so are the notes' sentences; the detector was built with the one, and is measured with the other.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import pickle
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.notes.deidentify import Deidentifier
from protocol.notes.folding import plain
from protocol.notes.vocabulary import frequencies, listed, person_names

if TYPE_CHECKING:
    from tests.protocol.notes import planted

ROOT = Path(__file__).resolve().parent.parent
#: What names-dataset is cut down to, kept between runs: to read it takes 2 GB of memory.
KEPT = ROOT / "build" / "names.json"
COUNTRIES = {"en": ("GB", "US", "IE", "CA"), "fr": ("FR", "BE", "CH", "CA", "LU")}
#: A name among the most frequent ones of one of its language's countries.
LAST_RANK = 5_000
#: names-dataset was made from profiles, where people write what they like: words that common are no names.
NO_NAME_ZIPF = 5.3
NOTES = {"develop": 200, "report": 400}
SEEDS = {"develop": 1, "report": 2_029}
GOALS = {"cued": 0.98, "bare": 0.90, "form": 0.98, "precision": 0.95}
LISTS = ("eponyms", "drugs", "abbreviations", "proper", "both", "clinical")


def run(say: Callable[[str], None] = lambda _: None, part: str = "report") -> dict[str, Any]:
    """All figures. ``part`` "develop" is for work on the detector."""
    generator = _generator()
    say("Names")
    names = _names()
    deidentifier = Deidentifier()
    deidentifier.clean("")
    result: dict[str, Any] = {"part": part, "languages": {}, "goals": GOALS}
    total, seconds, letters = generator.Score(), 0.0, 0
    for language in ("en", "fr"):
        say(f"Notes in {'English' if language == 'en' else 'French'}")
        given, family = (_half(names[language][which], part) for which in ("given", "family"))
        made = generator.notes(language, part, generator.Names(given, family), SEEDS[part], NOTES[part])
        score = generator.Score()
        for note in made:
            began = time.process_time()
            spans = deidentifier.clean(note.text).spans
            seconds += time.process_time() - began
            letters += len(note.text)
            score.add(note, spans)
            total.add(note, spans)
        result["languages"][language] = _figures(score) | {"names": len(given) + len(family)}
        if part == "develop":
            result.setdefault("missed", []).extend(score.missed)
            result.setdefault("in_vain", []).extend(score.in_vain)
    count = 2 * NOTES[part]
    result |= {"both": _figures(total), "notes": count, "letters": letters, "notes_a_second": count / seconds}
    return result


def _generator() -> Any:
    """The tests' generator: beside the package, and no part of it."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from tests.protocol.notes import planted

    return planted


def _figures(score: planted.Score) -> dict[str, Any]:
    forms = tuple(kind for kind in score.planted if kind not in ("cued", "bare", "place"))
    return {
        "kinds": {
            kind: {"planted": count, "found": score.found.get(kind, 0)}
            for kind, count in sorted(score.planted.items())
        },
        "cued": score.recall("cued"),
        "bare": score.recall("bare"),
        "form": score.recall(*forms),
        "precision": score.right_letters / score.masked_letters,
        "precision_of_spans": score.right / score.masked,
    }


# --- names ---


def _names() -> dict[str, dict[str, list[str]]]:
    """By language, given and family names that no list of the detector holds."""
    if not KEPT.exists():
        KEPT.parent.mkdir(exist_ok=True)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            ranked = {which: pool.apply(_ranked, (which,)) for which in ("first_names", "last_names")}
        KEPT.write_text(json.dumps(ranked), encoding="utf-8")
    ranked = json.loads(KEPT.read_text(encoding="utf-8"))
    lists = person_names().union(*(listed(name) for name in LISTS))
    made = {
        language: {
            short: [name for name in ranked[which][language] if _is_name(name) and not lists & _words(name)]
            for short, which in (("given", "first_names"), ("family", "last_names"))
        }
        for language in COUNTRIES
    }
    for by_kind in made.values():
        for each in by_kind.values():
            assert not lists & {word for name in each for word in _words(name)}, (
                "names of the detector's own lists"
            )
    return made


def _ranked(which: str) -> dict[str, list[str]]:
    """In a process of its own, for the memory that it takes."""
    path = Path(find_spec("names_dataset").origin).parent / "v3" / f"{which}.pkl.gz"
    with gzip.open(path) as content:
        everything = pickle.load(content)
    return {
        language: sorted(
            name
            for name, about in everything.items()
            if any((about["rank"].get(country) or LAST_RANK + 1) <= LAST_RANK for country in countries)
        )
        for language, countries in COUNTRIES.items()
    }


def _is_name(name: str) -> bool:
    bare = plain(name)
    return (
        bare.isalpha() and len(bare) >= 3 and name[0].isupper() and frequencies().get(bare, 0) < NO_NAME_ZIPF
    )


def _words(name: str) -> set[str]:
    return set(plain(name).replace("-", " ").replace("'", " ").split())


def _half(names: list[str], part: str) -> list[str]:
    wanted = 0 if part == "develop" else 1
    return [name for name in names if sha256(plain(name).encode()).digest()[0] % 2 == wanted]


# --- tables ---


def show(result: dict[str, Any], console: Console) -> None:
    """Prints recall by kind and language, precision, and speed."""
    table = Table(
        title=f"Identifiers planted in {result['notes']} notes; names that no list of the detector holds",
        box=SIMPLE,
    )
    for column in ("kind", "English", "found", "recall", "French", "found", "recall"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    languages = result["languages"]
    shown = {"cued": "name, announced", "bare": "name, by shape", "place": "hospital (no goal)"}
    for kind in sorted({kind for each in languages.values() for kind in each["kinds"]}):
        row = [shown.get(kind, kind)]
        for language in ("en", "fr"):
            each = languages[language]["kinds"].get(kind)
            row += (
                [f"{each['planted']:,}", f"{each['found']:,}", f"{each['found'] / each['planted']:.1%}"]
                if each
                else ["", "", ""]
            )
        table.add_row(*row)
    console.print(table)
    table = Table(title="Against the goals", box=SIMPLE)
    for column in ("", "English", "French", "both", "goal"):
        table.add_column(column, justify="right" if column else "left")
    for what, name in (
        ("cued", "recall of announced names"),
        ("bare", "recall of names by shape"),
        ("form", "recall of what has a form"),
        ("precision", "precision, letters"),
        ("precision_of_spans", "precision, parts"),
    ):
        goal = result["goals"].get(what, result["goals"]["precision"])
        values = [languages["en"][what], languages["fr"][what], result["both"][what]]
        table.add_row(name, *(f"{value:.1%}" for value in values), f"{goal:.0%}")
    console.print(table)
    size = result["letters"] / result["notes"]
    console.print(f"{result['notes_a_second']:.0f} notes a second and core, of {size:,.0f} characters each.")


if __name__ == "__main__":
    out = Console()
    chosen = sys.argv[1] if len(sys.argv) > 1 else "report"
    figures = run(lambda line: out.print(f"[dim]{line}[/dim]"), chosen)
    show(figures, out)
    for kind, value, around in figures.get("missed", [])[:120]:
        print("missed", kind, repr(value), repr(around))
    for each in figures.get("in_vain", [])[:120]:
        print("in vain", repr(each))
