"""Names of people: those that a word announces, those that only their shape shows, and both once more further on.

A capital within a sentence is a name's unless the word is one of the language or of medicine, belongs to a disease
("maladie de Crohn"), or has a dose behind it. At the beginning of a sentence, and in headings, a capital says nothing,
and rare words are left as they are.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from protocol.notes import cues
from protocol.notes.spans import NAME, Span
from protocol.notes.vocabulary import VERY_COMMON, Sense, Vocabulary
from protocol.notes.words import PARTICLES, Word

_MOST_WORDS = 6
_MOST_LETTERS_OF_ABBREVIATION = 4
#: Zipf value below which a word with a capital within a sentence is taken for a name.
_SELDOM = 4.4
#: From here on a word is no name even behind one.
_EVERYWHERE = 5.8
#: The same at the beginning of a sentence, where a name follows.
_UNUSUAL = 4.4
_BETWEEN = re.compile(r"[ \t]{1,3}|\.?[ \t]{0,2}-[ \t]?|\.[ \t]{0,2}|,[ \t]{0,2}|[ \t]{0,2}\n[ \t]{0,3}|'")
_COLON = re.compile(r":[ \t]{1,3}")
_ALSO = re.compile(r"[ \t]{0,2}(?:,|/|&|et|and|ou|or)[ \t]{1,2}$|[ \t]?/[ \t]?$")
_SURE_PARTICLES = frozenset("van von der den ter ten el al ben bin ibn mac mc".split())
_NO_ONE = frozenset(
    "professor professeur professeure prof pr docteure maitre sister nurse miss messieurs mesdames mademoiselle confrere consoeur ami amie collegue collegues confreres madame monsieur docteur doctor dr mr mrs ms mme mlle sir team colleague colleagues all hopital hospital service unite unit department"
    " clinique clinic le la les un une the a an patient patiente cher chere dear il elle he she they urgences home domicile follow plan".split()
)


class Finder:
    """Finds the names in one text."""

    def __init__(self, text: str, bare: str, words: list[Word], vocabulary: Vocabulary) -> None:
        self._text, self._bare, self._words, self._vocabulary = text, bare, words, vocabulary
        self._starts = [word.start for word in words]
        #: By the word's place in the list; sure ones are looked for elsewhere.
        self._names: set[int] = set()
        self._sure: set[int] = set()
        self._announced: frozenset[int] = frozenset()
        #: What stands in small letters somewhere is a word.
        self._small = {word.bare for word in words if not word.capital}

    def spans(self) -> Iterator[Span]:
        """All names, word for word; particles and commas between them belong to them."""
        self._cued()
        self._uncued()
        self._again()
        last: int | None = None
        for at in sorted(self._names):
            word = self._words[at]
            start = word.start
            if last is not None and self._one_name(last, at):
                start = self._words[last].end
            elif (
                at
                and self._words[at - 1].bare in _SURE_PARTICLES
                and self._text[self._words[at - 1].end : start] == " "
            ):
                start = self._words[at - 1].start
            yield Span(start, word.end, NAME)
            last = at

    # --- announced ---

    def _cued(self) -> None:
        for found in cues.FIELD.finditer(self._bare):
            self._take(found.end(), lower=True, words=True, line=True)
        for found in cues.TITLE.finditer(self._text):
            # "dr" and "mme" in small letters are followed by small letters.
            self._take(found.end(), lower=found[0][0].islower(), words=True)
        for found in cues.ROLE.finditer(self._bare):
            self._take(found.end(), line=True)
        for found in cues.CLOSING.finditer(self._bare):
            self._take(found.end(), words=True)
        for found in cues.RUNNING.finditer(self._bare):
            self._take(found.end())
        for at, word in enumerate(self._words):
            if word.capital and not self._is_term(word) and at not in self._names:
                behind = cues.AFTER.match(self._bare, word.end)
                if behind and (word.sense <= Sense.BOTH or self._name_before(at)):
                    self._back(at)
                elif cues.AGED.match(self._bare, word.end) and word.sense < Sense.RARE:
                    self._back(at)

    def _take(self, place: int, *, lower: bool = False, words: bool = False, line: bool = False) -> None:
        """Names that begin here. ``lower``: small letters do; ``words``: the first may be any word but one of medicine."""
        at = bisect_left(self._starts, place)
        if (
            at < len(self._words)
            and self._words[at].start != place
            and self._text[place : self._words[at].start].strip("( \t\"'")
        ):
            return
        taken: list[int] = []
        particles: list[int] = []
        skipped = 0
        while at < len(self._words) and len(taken) + skipped < _MOST_WORDS:
            word = self._words[at]
            if taken or skipped:
                gap = self._text[self._words[at - 1].end : word.start]
                if not self._joins(gap, word, taken, line):
                    break
            elif word.start - place > 3:
                break
            if taken and self._ends(word):
                break
            if (
                word.bare in PARTICLES
                and (not word.capital or not taken)
                and self._name_follows(at, lower or words)
            ):
                skipped += 1
                particles.append(at)
            elif word.initial and not word.glued:
                taken.append(at)
            elif self._fits(
                word,
                at,
                first=not any(len(self._words[each].text) > 1 for each in taken),
                lower=lower,
                words=words or bool(taken) and self._words[taken[-1]].initial,
                line=line,
            ):
                taken.append(at)
            else:
                break
            at += 1
        if any(len(self._words[each].text) > 1 for each in taken) or (words and taken):
            self._names.update(taken, particles)
            self._sure.update(each for each in taken if len(self._words[each].text) > 2)

    def _joins(self, gap: str, word: Word, taken: list[int], line: bool) -> bool:
        if not _BETWEEN.fullmatch(gap):
            return False
        if "," in gap:
            return (
                line
                and word.sense <= Sense.WORD
                and len(taken) < 4
                or (word.sense is Sense.NAME and len(taken) == 1)
            )
        if "\n" in gap:
            return not line and word.sense <= Sense.UNKNOWN and word.capital and not word.headed
        if "." in gap and taken and not self._words[taken[-1]].initial and "-" not in gap:
            return len(self._words[taken[-1]].text) <= 3 and word.sense <= Sense.BOTH
        return True

    def _ends(self, word: Word) -> bool:
        """Whether the name ends before this word: the next field, or a word of the sentence."""
        behind = self._text[word.end : word.end + 3].lstrip()
        return behind.startswith(":") or (word.first and word.sense >= Sense.WORD)

    def _fits(self, word: Word, at: int, *, first: bool, lower: bool, words: bool, line: bool) -> bool:
        if word.glued or word.bare in _NO_ONE or len(word.text) < 2:
            return False
        if not word.capital:
            return lower and (
                word.sense <= Sense.UNKNOWN
                or (word.sense <= Sense.RARE and first)
                or (words and first and word.sense is Sense.BOTH)
            )
        if (
            word.capitals
            and not words
            and not line
            and len(word.text) <= _MOST_LETTERS_OF_ABBREVIATION
            and word.sense is Sense.UNKNOWN
        ):
            return not first or self._begins_a_name(at)
        if (
            not words
            and not line
            and word.sense is not Sense.NAME
            and cues.DEVICE_AFTER.match(self._bare, word.end)
        ):
            return False
        if first and words:
            return (
                word.sense is not Sense.TERM
                or not (self._vocabulary.is_kept(word.bare) or word.headed)
                or self._field_of_name(at)
            )
        if word.sense <= Sense.RARE:
            return not (
                word.sense is Sense.RARE and word.headed and not words and not line
            ) and not self._eponym(at)
        if word.sense is Sense.WORD:
            if first and self._begins_a_name(at):
                return True
            most = VERY_COMMON if words else _SELDOM
            seldom = self._vocabulary.zipf(word.bare) < (most if first else _EVERYWHERE)
            return seldom and (not first or not word.headed)
        return False

    def _begins_a_name(self, at: int) -> bool:
        """Whether a word with a capital has a name right behind it: "Cork, Niamh"."""
        if at + 1 >= len(self._words):
            return False
        after = self._words[at + 1]
        gap = self._text[self._words[at].end : after.start]
        return gap in (" ", ", ", "-") and after.capital and after.sense <= Sense.UNKNOWN and not after.glued

    def _field_of_name(self, at: int) -> bool:
        """After "nom :" even a word of medicine is a name."""
        return bool(
            re.search(
                r"(?:nom|name)\W{1,8}$",
                self._bare[max(0, self._words[at].start - 14) : self._words[at].start],
            )
        )

    def _name_follows(self, at: int, any_word: bool) -> bool:
        for each in range(at + 1, min(at + 4, len(self._words))):
            word = self._words[each]
            if len(self._text[self._words[each - 1].end : word.start].strip(" '")) > 0:
                return False
            if word.bare in PARTICLES:
                continue
            return (
                (word.capital or any_word)
                and word.sense < Sense.WORD
                or (word.capital and any_word and word.sense is Sense.WORD)
            )
        return False

    # --- by shape ---

    def _uncued(self) -> None:
        self._announced = frozenset(self._sure)
        for at, word in enumerate(self._words):
            if at not in self._names and word.capital and not word.glued and self._looks_like_one(at, word):
                self._names.add(at)
                if word.sense <= Sense.UNKNOWN and len(word.text) > 3 and not word.headed:
                    self._sure.add(at)
        self._lines()
        self._values()
        for at in sorted(self._names):
            self._forward(at)
            self._backward(at)

    def _looks_like_one(self, at: int, word: Word) -> bool:
        if word.sense is Sense.TERM or len(word.text) < 3 or self._eponym(at):
            return word.initial and self._initial_of_name(at)
        if word.capitals and len(word.text) <= _MOST_LETTERS_OF_ABBREVIATION and not self._own(word):
            return (
                word.sense is Sense.NAME
                and len(word.text) == _MOST_LETTERS_OF_ABBREVIATION
                and not word.headed
            )
        if word.sense is Sense.NAME:
            return True
        if self._text[word.start - 1 : word.start] == " " and self._after_particle(at):
            return True
        if cues.DOSE.match(self._bare, word.end) or cues.DRUG_BEFORE.search(
            self._bare, max(0, word.start - 60), word.start
        ):
            return False
        if word.bare in self._small or cues.DEVICE_AFTER.match(self._bare, word.end):
            return False
        if word.sense is Sense.UNKNOWN:
            return word.capitals and not self._is_label(word) or not word.first or self._is_subject(at)
        if word.first and word.sense in (Sense.RARE, Sense.WORD, Sense.BOTH) and self._acts(word):
            return self._vocabulary.zipf(word.bare) < _SELDOM and not self._vocabulary.is_kept(word.bare)
        if word.first or word.headed:
            return False
        if word.capitals:
            return word.sense is Sense.RARE and self._alone(at)
        if word.sense is Sense.WORD:
            return self._vocabulary.zipf(word.bare) < _SELDOM and self._alone(at)
        return not self._vocabulary.is_kept(word.bare)

    def _after_particle(self, at: int) -> bool:
        before = self._words[at - 1] if at else None
        return (
            before is not None
            and before.bare in _SURE_PARTICLES
            and before.end == self._words[at].start - 1
            and not before.first
        )

    def _own(self, word: Word) -> bool:
        return self._vocabulary.is_own_name(word.bare)

    def _alone(self, at: int) -> bool:
        """Whether the words around it are small: one capital in a sentence."""
        around = [self._words[each] for each in (at - 1, at + 1) if 0 <= each < len(self._words)]
        near = [each for each in around if each.line == self._words[at].line and not each.first]
        behind = self._text[self._words[at].end : self._words[at].end + 3]
        return all(not each.capital for each in near) and not re.match(r" ?[\dIVX:]", behind)

    def _acts(self, word: Word) -> bool:
        """Whether what follows is done by people: "Bolt refuses"."""
        return bool(cues.ACTING.match(self._bare, word.end))

    def _is_subject(self, at: int) -> bool:
        """Whether a word at the beginning of a sentence is someone: what follows is done by people, or is set apart."""
        word = self._words[at]
        if re.match(r"'s |, (?!and |et |or |ou )|[ ]?\(", self._bare[word.end : word.end + 6]):
            return True
        if at + 1 >= len(self._words) or not re.fullmatch(
            r"[ \n]{1,2}(?:[ns]')?", self._bare[word.end : self._words[at + 1].start]
        ):
            return False
        after = self._words[at + 1]
        return (
            self._vocabulary.is_verb(after.bare)
            or "'" in self._bare[word.end : after.start]
            or (after.capital and after.sense <= Sense.UNKNOWN)
        )

    def _is_label(self, word: Word) -> bool:
        return self._text[word.end : word.end + 2].lstrip().startswith(":")

    def _initial_of_name(self, at: int, left: int = 2) -> bool:
        """ "J. Smith": an initial with its point, then a word with a capital that can be a name."""
        if at + 1 >= len(self._words) or not re.fullmatch(
            r"\.[ \t]{0,2}|\.-", self._text[self._words[at].end : self._words[at + 1].start]
        ):
            return False
        after = self._words[at + 1]
        if self._words[at].glued:
            return False
        while after.bare in PARTICLES and not after.capital and at + 3 < len(self._words):
            at += 1
            after = self._words[at + 1]
        if after.initial:
            return left > 0 and at + 2 < len(self._words) and self._initial_of_name(at + 1, left - 1)
        return after.capital and after.sense < Sense.WORD and len(after.text) > 2 and not self._eponym(at + 1)

    def _eponym(self, at: int) -> bool:
        """Whether the name is a disease's, a sign's or a device's here."""
        word = self._words[at]
        if word.sense is Sense.NAME and not self._vocabulary.is_eponym(word.bare):
            return False
        if cues.EPONYM_AFTER.match(self._bare, word.end):
            return self._vocabulary.is_eponym(word.bare) or self._bare.startswith("'", word.end)
        return bool(cues.EPONYM_BEFORE.search(self._bare, max(0, word.start - 48), word.start))

    def _lines(self) -> None:
        """Lines of two to four words that are a name: "HUREMOVIC Merlin"."""
        start = 0
        while start < len(self._words):
            stop = start
            while stop < len(self._words) and self._words[stop].line == self._words[start].line:
                stop += 1
            line = self._words[start:stop]
            if 2 <= len(line) <= 4 and self._is_a_name(line):
                self._names.update(range(start, stop))
            start = stop

    def _values(self) -> None:
        """What stands alone behind a colon, in two to four words with capitals: "Health visitor: Macie Frame."."""
        for found in _COLON.finditer(self._text):
            first = last = bisect_left(self._starts, found.end())
            if first >= len(self._words) or self._words[first].start != found.end():
                continue
            while (
                last + 1 < len(self._words)
                and last - first < 3
                and self._text[self._words[last].end : self._words[last + 1].start] in (" ", "-", ", ")
            ):
                last += 1
            value = self._words[first : last + 1]
            ends = re.match(r"[ ]?(?:[.,;)\n(]|$)", self._text[value[-1].end : value[-1].end + 2])
            if len(value) < 2 or not ends or any(word.bare in _NO_ONE or word.glued for word in value):
                continue
            capital = all(
                word.capital and not word.capitals and word.sense is not Sense.TERM for word in value
            )
            if capital and any(word.sense <= Sense.RARE and word.sense is not Sense.BOTH for word in value):
                self._names.update(range(first, last + 1))

    def _is_a_name(self, line: list[Word]) -> bool:
        if not all(
            (word.capital or word.bare in PARTICLES) and not word.glued and word.sense is not Sense.TERM
            for word in line
        ):
            return False
        if not any(word.sense <= Sense.UNKNOWN and len(word.text) > 2 for word in line):
            return False
        if any(word.bare in _NO_ONE for word in line):
            return False
        between = self._text[line[0].start : line[-1].end]
        if re.search(r"[^\w\s,.'’-]", between):
            return False
        begin = self._text.rfind("\n", 0, line[0].start) + 1
        end = self._text.find("\n", line[-1].end)
        around = (
            self._text[begin : line[0].start] + self._text[line[-1].end : len(self._text) if end < 0 else end]
        )
        return len(around) < 12 and not re.search(r"[\d:]", around)

    # --- around a name ---

    def _forward(self, at: int) -> None:
        """What follows a name in the same line and can be a part of it."""
        here = at
        while here + 1 < len(self._words) and here + 1 not in self._names and here - at < 3:
            following, gap = (
                self._words[here + 1],
                self._text[self._words[here].end : self._words[here + 1].start],
            )
            if (
                following.bare in PARTICLES
                and gap.strip("' ") == ""
                and self._name_follows(here, not following.capital)
                and not following.first
            ):
                step = here + 1
                while self._words[step].bare in PARTICLES and not (
                    self._words[step].capital and self._words[step].sense < Sense.BOTH
                ):
                    step += 1
                if self._words[step].capital and self._words[step].sense < Sense.TERM:
                    self._names.update(range(here + 1, step + 1))
                    here = step
                    continue
                return
            if (
                gap not in (" ", "  ", "-", "\t", ". ", ".")
                or following.glued
                or not following.capital
                or self._eponym(here + 1)
            ):
                return
            if "." in gap and not self._words[here].initial:
                return
            if following.initial:
                if not re.match(r"[.,;)\n]|$|[ ](?![a-z])", self._text[following.end : following.end + 2]):
                    return
            elif not self._goes_with_one(following, behind=True):
                return
            self._names.add(here + 1)
            here += 1

    def _backward(self, at: int) -> None:
        here = at
        step = here - 1
        while (
            step > 0
            and not self._words[step].capital
            and self._words[step].bare in PARTICLES
            and here - step < 4
        ):
            step -= 1
        if (
            0 <= step < here - 1
            and self._words[step].capital
            and Sense.WORD > self._words[step].sense != Sense.BOTH
        ):
            if (
                step not in self._names
                and self._text[self._words[step].end : self._words[here].start].count(" ") == here - step
            ):
                self._names.add(step)
                return
        while here > 0 and here - 1 not in self._names and at - here < 3:
            before, gap = (
                self._words[here - 1],
                self._text[self._words[here - 1].end : self._words[here].start],
            )
            if gap not in (" ", "  ", "-", ". ", ".", "'", "\t") or before.glued or not before.capital:
                return
            if "." in gap and not before.initial:
                return
            if not (before.initial and "." in gap) and not self._goes_with_one(before, behind=False):
                return
            self._names.add(here - 1)
            here -= 1

    def _goes_with_one(self, word: Word, *, behind: bool) -> bool:
        """Whether a word with a capital beside a name is a part of it."""
        if word.bare in PARTICLES:
            return not word.first
        if word.bare in _NO_ONE or self._is_label(word):
            return False
        if word.sense is Sense.TERM:
            return False
        if word.capitals and len(word.text) <= 3 and word.sense >= Sense.RARE:
            return False
        if word.sense is Sense.BOTH and word.first and self._vocabulary.zipf(word.bare) >= VERY_COMMON:
            return False
        if word.sense <= Sense.BOTH:
            return not (self._vocabulary.is_kept(word.bare) and (word.headed or not behind))
        if word.sense is Sense.RARE:
            return True
        if word.first or word.headed:
            return not behind and self._vocabulary.zipf(word.bare) < _UNUSUAL
        return self._vocabulary.zipf(word.bare) < (_EVERYWHERE if behind else VERY_COMMON)

    def _back(self, at: int) -> None:
        """The name that ends with this word."""
        self._names.add(at)
        self._sure.add(at)

    def _name_before(self, at: int) -> bool:
        return at > 0 and self._words[at - 1].capital and self._words[at - 1].sense <= Sense.BOTH

    # --- once more ---

    def _again(self) -> None:
        """A name that is sure in one place is a name in the others, with a capital; and without one if it is no word."""
        announced = {self._words[at].bare for at in self._announced}
        known = {
            self._words[at].bare: self._words[at].sense for at in self._sure if len(self._words[at].bare) > 2
        }
        for at, word in enumerate(self._words):
            sense = known.get(word.bare)
            if sense is None or at in self._names or word.glued:
                continue
            if word.capital:
                if sense <= Sense.BOTH or not (word.first or word.headed):
                    self._names.add(at)
            elif sense <= Sense.UNKNOWN and len(word.bare) > 3 and word.bare in announced:
                self._names.add(at)

    def _one_name(self, last: int, at: int) -> bool:
        """Whether only particles stand between two words of a name."""
        if at - last > 4:
            return False
        between = self._text[self._words[last].end : self._words[at].start]
        small = all(self._words[each].bare in PARTICLES for each in range(last + 1, at))
        return (
            small
            and "\n" not in between
            and len(between) < 24
            and not re.search(r"[.;:()/\d]", between.replace(". ", "", 1))
        )

    def _is_term(self, word: Word) -> bool:
        return word.sense is Sense.TERM
