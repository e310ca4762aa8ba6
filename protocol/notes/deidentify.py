"""A note without what names a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.notes.addresses import addresses, beside, cities
from protocol.notes.contacts import contacts
from protocol.notes.dates import ages, dates
from protocol.notes.folding import fold
from protocol.notes.known import known as known_in
from protocol.notes.markup import text_of, unmarked
from protocol.notes.names import names
from protocol.notes.numbers import numbers
from protocol.notes.spans import MARK, Span, joined
from protocol.notes.vocabulary import Vocabulary


@dataclass(frozen=True)
class Cleaned:
    """``text`` with a mark such as ``[NAME]`` for every part that went; how many of each kind; where they stood in what
    was ``read``: the original, without markup."""

    text: str
    found: dict[str, int]
    spans: list[Span]
    read: str


class Deidentifier:
    """Cleans notes in English and French. ``names`` and ``terms`` are a hospital's own words: always names (of its
    staff, of places nearby), and never names (of its wards and devices); ``vocabulary.read_words`` reads them from
    files. Loads its lists on the first note.

    One for many notes; the same text always gives the same result.
    """

    def __init__(self, names: Iterable[str] = (), terms: Iterable[str] = ()) -> None:
        self._names, self._terms = tuple(names), tuple(terms)
        self._loaded: Vocabulary | None = None

    def clean(self, text: str, known: Iterable[str] = ()) -> Cleaned:
        """``known`` are names and numbers of the patient: they go wherever they stand, without case and accents. Markup
        in the text goes, and what was escaped is read."""
        return self._cleaned(unmarked(text), known)

    def clean_html(self, html: str, known: Iterable[str] = ()) -> Cleaned:
        """The text of an XHTML narrative, cleaned."""
        return self._cleaned(text_of(html), known)

    def __reduce__(self) -> tuple[type[Deidentifier], tuple[tuple[str, ...], tuple[str, ...]]]:
        """To another process without the lists, which it loads itself."""
        return type(self), (self._names, self._terms)

    def _cleaned(self, text: str, known: Iterable[str]) -> Cleaned:
        vocabulary = self._vocabulary()
        folded = fold(text)
        bare, plain_text = folded.bare, folded.text
        found = [*numbers(bare), *contacts(bare), *dates(bare, plain_text), *ages(bare)]
        found += addresses(bare, plain_text, vocabulary.is_term)
        found += beside(bare, plain_text, found, vocabulary.is_term)
        found += cities(bare, plain_text, vocabulary.is_term)
        found += names(plain_text, bare, vocabulary)
        found += known_in(bare, known)
        kept = _outside_of_marks(joined(found, plain_text), plain_text)
        spans = joined((Span(*folded.span(each.start, each.end), each.kind) for each in kept), text)
        return Cleaned(
            _replaced(text, spans), dict(sorted(Counter(each.kind for each in spans).items())), spans, text
        )

    def _vocabulary(self) -> Vocabulary:
        if self._loaded is None:
            self._loaded = Vocabulary(self._names, self._terms)
        return self._loaded


def _outside_of_marks(spans: list[Span], text: str) -> list[Span]:
    """Without those that touch a mark of an earlier cleaning."""
    marks = [found.span() for found in MARK.finditer(text)]
    if not marks:
        return spans
    kept: list[Span] = []
    at = 0
    for span in spans:
        while at < len(marks) and marks[at][1] <= span.start:
            at += 1
        start = span.start
        for begin, end in marks[at:]:
            if begin >= span.end:
                break
            if begin > start:
                kept.append(Span(start, begin, span.kind))
            start = max(start, end)
        if start < span.end:
            kept.append(Span(start, span.end, span.kind))
    return kept


def _replaced(text: str, spans: list[Span]) -> str:
    pieces, at = [], 0
    for span in spans:
        pieces += [text[at : span.start], f"[{span.kind}]"]
        at = span.end
    return "".join([*pieces, text[at:]])
