"""The measured run, small: what is found of what is planted, with names that no list of the detector holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.notes.deidentify import Deidentifier
from protocol.notes.folding import plain
from protocol.notes.vocabulary import listed, person_names
from tests.protocol.notes import planted

SEED, NOTES = 11, 60
LISTS = ("eponyms", "drugs", "abbreviations", "proper", "both", "clinical")


def names() -> dict[str, dict[str, list[str]]]:
    """By language and kind, of ``names.txt``."""
    found: dict[str, dict[str, list[str]]] = {"en": {}, "fr": {}}
    for line in Path(__file__).with_name("names.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language, kind = line.strip("[]").split()
            found[language][kind] = []
        elif not line.startswith("#"):
            found[language][kind] += line.split()
    return found


NAMES = names()


@pytest.fixture(scope="module")
def scores(deidentifier: Deidentifier) -> dict[str, planted.Score]:
    made = {}
    for language, each in NAMES.items():
        made[language] = planted.Score()
        drawn = planted.Names(each["given"], each["family"])
        for note in planted.notes(language, "report", drawn, SEED, NOTES):
            made[language].add(note, deidentifier.clean(note.text).spans)
    return made


def test_no_list_of_the_detector_holds_the_names() -> None:
    lists = person_names().union(*map(listed, LISTS))
    drawn = [name for language in NAMES.values() for kind in language.values() for name in kind]
    assert len(drawn) == 600
    assert not [
        name for name in drawn if set(plain(name).replace("-", " ").replace("'", " ").split()) & lists
    ]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_recall_and_precision(scores: dict[str, planted.Score], language: str) -> None:
    """The goals that the bench reports on; here with fewer notes."""
    score = scores[language]
    forms = [kind for kind in score.planted if kind not in ("cued", "bare", "place")]
    assert sum(score.planted.values()) > 500
    assert score.recall("cued") >= 0.98, score.missed
    assert score.recall("bare") >= 0.90, score.missed
    assert score.recall(*forms) >= 0.98, score.missed
    assert score.right_letters / score.masked_letters >= 0.95, score.in_vain


def test_the_score_sees_what_was_missed_and_what_was_masked_in_vain() -> None:
    note = planted.notes("fr", "report", planted.Names(["Zoéline"], ["Ketelbuters"]), SEED, 1)[0]
    nothing, everything = planted.Score(), planted.Score()
    nothing.add(note, [])
    everything.add(note, [planted.Span(0, len(note.text), "NAME")])
    assert (nothing.recall(), everything.recall()) == (0, 1)
    assert everything.right_letters < everything.masked_letters


def test_planted_parts_stand_where_they_are_said_to_be() -> None:
    drawn = planted.Names(["Zoéline"], ["Ketelbuters"])
    for note in planted.notes("fr", "report", drawn, SEED, 30):
        for span in note.planted:
            assert note.text[span.start : span.end].strip()
    assert (
        planted.notes("fr", "report", drawn, SEED, 3)[2].text
        == planted.notes("fr", "report", drawn, SEED, 3)[2].text
    )
