"""Notes with identifiers planted at known places: templates, and values of every kind drawn for them."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from protocol.notes.spans import Span
from tests.protocol.notes.values import Names, Values

TEMPLATES = Path(__file__).with_name("templates")
_PARTICLE = re.compile(r"(?<![^\W_])(?:des?|la|du|van|der)(?![^\W_])")
_SLOT = re.compile(r"<([a-z]+)(?::([a-z]+))?>")


@dataclass
class Note:
    """A text and what was planted in it. ``kind`` is the template's: "cued", "bare", "date", "nir" …"""

    language: str
    text: str = ""
    planted: list[Span] = field(default_factory=list)


def templates(language: str, part: str) -> dict[str, list[str]]:
    """Those of a language, "develop" or "report", by section."""
    sections: dict[str, list[str]] = {}
    section: list[str] = []
    for line in (TEMPLATES / f"{language}_{part}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line.replace("\\n", "\n"))
    return sections


def notes(language: str, part: str, names: Names, seed: int, count: int) -> list[Note]:
    """``count`` notes; the same for the same arguments."""
    draw = random.Random(f"{seed} {language} {part}")
    pool = templates(language, part)
    return [_note(language, pool, names, draw) for _ in range(count)]


def _note(language: str, pool: dict[str, list[str]], names: Names, draw: random.Random) -> Note:
    note = Note(language)
    values = Values(language, names, draw)
    middle = draw.sample(pool["body"], min(5, len(pool["body"]))) + draw.sample(pool["plain"], 5)
    draw.shuffle(middle)
    for template in [draw.choice(pool["head"]), *middle, draw.choice(pool["foot"])]:
        at = 0
        for slot in _SLOT.finditer(template):
            note.text += template[at : slot.start()]
            value = values.of(slot[1], slot[2] or "")
            if slot[2] == "title":
                title, _, value = value.partition(" ")
                note.text += f"{title} "
            if slot[1] not in ("date", "address", "age", "place"):
                value = values.disturbed(value)
            note.planted.append(Span(len(note.text), len(note.text) + len(value), slot[1]))
            note.text += value
            at = slot.end()
        note.text += template[at:] + draw.choice(("\n", "\n", " "))
    if draw.random() < 0.05:
        return _decomposed(note)
    return note


def _decomposed(note: Note) -> Note:
    """The same, in NFD."""
    changed, at = Note(note.language), 0
    for span in note.planted:
        changed.text += unicodedata.normalize("NFD", note.text[at : span.start])
        value = unicodedata.normalize("NFD", note.text[span.start : span.end])
        changed.planted.append(Span(len(changed.text), len(changed.text) + len(value), span.kind))
        changed.text += value
        at = span.end
    changed.text += unicodedata.normalize("NFD", note.text[at:])
    return changed


@dataclass
class Score:
    """What was found, by kind of what was planted."""

    planted: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    in_vain: list[str] = field(default_factory=list)
    masked_letters: int = 0
    right_letters: int = 0
    masked: int = 0
    right: int = 0

    def add(self, note: Note, spans: Iterable[Span]) -> None:
        """Counts one note. A planted part is found when none of its letters and digits stays."""
        text = note.text
        gone = bytearray(len(text))
        for span in spans:
            gone[span.start : span.end] = b"\1" * (span.end - span.start)
        planted = bytearray(len(text))
        for span in note.planted:
            planted[span.start : span.end] = b"\1" * (span.end - span.start)
            self.planted[span.kind] = self.planted.get(span.kind, 0) + 1
            # "de" and "van der" name nobody.
            may_stay = {
                at for each in _PARTICLE.finditer(text, span.start, span.end) for at in range(*each.span())
            }
            if all(gone[at] or at in may_stay for at in range(span.start, span.end) if text[at].isalnum()):
                self.found[span.kind] = self.found.get(span.kind, 0) + 1
            else:
                self.missed.append(
                    (span.kind, text[span.start : span.end], text[max(0, span.start - 30) : span.end + 20])
                )
        for span in spans:
            letters = [at for at in range(span.start, span.end) if text[at].isalnum()]
            right = sum(planted[at] for at in letters)
            self.masked_letters += len(letters)
            self.right_letters += right
            self.masked += 1
            if right * 2 >= len(letters):
                self.right += 1
            else:
                self.in_vain.append(
                    text[max(0, span.start - 25) : span.start]
                    + "⟦"
                    + text[span.start : span.end]
                    + "⟧"
                    + text[span.end : span.end + 15]
                )

    def recall(self, *kinds: str) -> float:
        """Of all kinds, or of these."""
        chosen = kinds or tuple(self.planted)
        planted = sum(self.planted.get(kind, 0) for kind in chosen)
        return sum(self.found.get(kind, 0) for kind in chosen) / planted if planted else 1.0
