"""Names of people: those that a word announces, those that only their shape shows, and both once more further on.

A capital within a sentence is a name's unless the word is one of the language or of medicine, belongs to a disease
("maladie de Crohn"), or has a dose behind it. At the beginning of a sentence, and in headings, a capital says nothing:
there a word is a name when what follows is done by people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from protocol.notes.announced import Announced
from protocol.notes.context import SURE_PARTICLES, Context
from protocol.notes.shape import by_shape, lines, values
from protocol.notes.spans import NAME, Span
from protocol.notes.vocabulary import Sense, Vocabulary
from protocol.notes.words import PARTICLES, words

_FARTHEST = 3
_BEHIND = (" ", "  ", "-", "\t", ". ", ".")
_BEFORE = (*_BEHIND, "'")
_AFTER_LAST_INITIAL = re.compile(r"[.,;)\n]|$|[ ](?![a-z])")
_APART = re.compile(r"[.;:()/\d\n]")


def names(text: str, bare: str, vocabulary: Vocabulary) -> Iterator[Span]:
    """The names in a text, which is given as it is and without case and accents."""
    yield from _Names(Context(text, bare, words(text, bare, vocabulary), vocabulary)).spans()


class _Names:
    """The places of the words that names are made of."""

    def __init__(self, context: Context) -> None:
        self._context, self._words = context, context.words
        announced = Announced(context)
        self._names = announced.names
        shaped = list(by_shape(context, self._names))
        self._names.update(shaped)
        for part in (*lines(context), *values(context)):
            self._names.update(part)
        for at in sorted(self._names):
            self._forward(at)
            self._before_particles(at)
            self._backward(at)
        self._again(announced.sure, shaped)

    def spans(self) -> Iterator[Span]:
        """Word for word; particles and commas between the words of a name belong to it."""
        last: int | None = None
        for at in sorted(self._names):
            word = self._words[at]
            start = word.start
            if last is not None and self._are_one_name(last, at):
                start = self._words[last].end
            elif at and self._words[at - 1].bare in SURE_PARTICLES and self._context.gap(at) == " ":
                start = self._words[at - 1].start
            yield Span(start, word.end, NAME)
            last = at

    def _are_one_name(self, last: int, at: int) -> bool:
        """Whether only particles stand between two words."""
        if at - last > _FARTHEST + 1 or self._words[at].start - self._words[last].end > 24:
            return False
        if not all(self._words[each].bare in PARTICLES for each in range(last + 1, at)):
            return False
        between = self._context.text[self._words[last].end : self._words[at].start]
        return not _APART.search(between.replace(". ", "", 1))

    def _forward(self, at: int) -> None:
        """What follows a name in the same line and can be a part of it."""
        here = at
        while here + 1 < len(self._words) and here + 1 not in self._names and here - at < _FARTHEST:
            following, gap = self._words[here + 1], self._context.gap(here + 1)
            particle = following.bare in PARTICLES and not gap.strip("' ") and not following.first
            if particle and self._context.particle_leads_to_name(here, not following.capital):
                here = self._over_particles(here)
                if here < 0:
                    return
                continue
            if (
                gap not in _BEHIND
                or following.glued
                or not following.capital
                or self._context.is_eponym(here + 1)
            ):
                return
            if "." in gap and not self._words[here].initial:
                return
            if following.initial:
                if not _AFTER_LAST_INITIAL.match(self._context.text[following.end : following.end + 2]):
                    return
            elif not self._context.goes_with_name(here + 1, behind=True):
                return
            here += 1
            self._names.add(here)

    def _over_particles(self, here: int) -> int:
        """The last word of "de la Tour", which follows; -1 where it is none."""
        step = here + 1
        while self._words[step].bare in PARTICLES:
            if self._words[step].capital and self._words[step].sense < Sense.BOTH:
                break
            step += 1
        if not self._words[step].capital or self._words[step].sense is Sense.TERM:
            return -1
        self._names.update(range(here + 1, step + 1))
        return step

    def _before_particles(self, at: int) -> None:
        """The "Marie" of "Marie de la Tour"."""
        step = at - 1
        while step > 0 and self._words[step].bare in PARTICLES and not self._words[step].capital:
            step -= 1
            if at - step > _FARTHEST + 1:
                return
        if step < 0 or step == at - 1:
            return
        first = self._words[step]
        blanks = self._context.text[first.end : self._words[at].start].count(" ")
        if first.capital and first.sense in (Sense.NAME, Sense.UNKNOWN, Sense.RARE) and blanks == at - step:
            self._names.add(step)

    def _backward(self, at: int) -> None:
        """What stands before a name in the same line and can be a part of it."""
        here = at
        while here > 0 and here - 1 not in self._names and at - here < _FARTHEST:
            before, gap = self._words[here - 1], self._context.gap(here)
            if gap not in _BEFORE or before.glued or not before.capital:
                return
            if "." in gap and (not before.initial or self._context.is_monsieur(here - 1)):
                return
            if "." not in gap and not self._context.goes_with_name(here - 1, behind=False):
                return
            here -= 1
            self._names.add(here)

    def _again(self, announced: set[int], shaped: list[int]) -> None:
        """A name that is sure in one place is a name in the others, with a capital; and without one if it was
        announced and is no word."""
        sure = {at for at in shaped if self._is_sure(at)} | announced
        senses = {self._words[at].bare: self._words[at].sense for at in sure if len(self._words[at].bare) > 2}
        heard = {self._words[at].bare for at in announced}
        for at, word in enumerate(self._words):
            sense = senses.get(word.bare)
            if sense is None or at in self._names or word.glued:
                continue
            if word.capital:
                if sense <= Sense.RARE or not (word.first or word.headed):
                    self._names.add(at)
            elif sense <= Sense.UNKNOWN and len(word.bare) > 3 and word.bare in heard:
                self._names.add(at)

    def _is_sure(self, at: int) -> bool:
        word = self._words[at]
        return word.sense <= Sense.UNKNOWN and len(word.text) > 3 and not word.headed
