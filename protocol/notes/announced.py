"""Names that a word before or behind them announces: "Dr", "Nom :", "seen by", ", MD", ", 45 ans"."""

from __future__ import annotations

import re
from bisect import bisect_left

from protocol.notes import cues
from protocol.notes.context import COMMON_BEHIND, COMMON_BESIDE, MOST_LETTERS_OF_ABBREVIATION, SELDOM, Context
from protocol.notes.vocabulary import Sense
from protocol.notes.words import PARTICLES, Word

_MOST_WORDS = 6
_MOST_BEFORE_COMMA = 4
#: Between a cue and the word behind it.
_FARTHEST = 3
_BETWEEN = re.compile(r"[ \t]{1,3}|\.?[ \t]{0,2}-[ \t]?|\.[ \t]{0,2}|,[ \t]{0,2}|[ \t]{0,2}\n[ \t]{0,3}|'")
_FIELD_OF_NAME = re.compile(r"(?:nom|name)\W{1,8}$")


class Announced:
    """``names`` are the places of the words that names are made of; ``sure`` those that are names elsewhere as well."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.names: set[int] = set()
        self.sure: set[int] = set()
        bare = context.bare
        for found in cues.FIELD.finditer(bare):
            self._take(found.end(), lower=True, words=True, line=True)
        for found in cues.TITLE.finditer(context.text):
            # After "dr" and "mme" in small letters a name is in small letters as well.
            strong = bool(cues.STRONG_TITLE.match(bare, found.start()))
            self._take(found.end(), lower=found[0][0].islower(), unknown=strong, words=True)
        for found in cues.ROLE.finditer(bare):
            self._take(found.end(), unknown=bool(cues.STRONG_ROLE.match(found[0])), line=True)
        for found in cues.SALUTATION.finditer(bare):
            self._take(found.end(), line=True)
        for found in cues.CLOSING.finditer(bare):
            self._take(found.end(), words=True)
        for found in cues.RUNNING.finditer(bare):
            self._take(found.end(), unknown=bool(cues.STRONG_RUNNING.match(found[0])))
        for at, word in enumerate(context.words):
            if (
                word.capital
                and word.sense is not Sense.TERM
                and at not in self.names
                and self._announced_behind(at)
            ):
                self.names.add(at)
                self.sure.add(at)

    def _announced_behind(self, at: int) -> bool:
        """Whether a qualification or an age follows."""
        word = self._context.words[at]
        likely = word.sense <= Sense.BOTH or self._context.follows_name(at)
        if likely and cues.AFTER.match(self._context.bare, word.end):
            return True
        return word.sense <= Sense.RARE and bool(cues.AGED.match(self._context.bare, word.end))

    def _take(
        self,
        place: int,
        *,
        lower: bool = False,
        unknown: bool = False,
        words: bool = False,
        line: bool = False,
    ) -> None:
        """The name that begins at a place. ``lower``: small letters do; ``unknown``: they do for what is no word;
        ``words``: it may begin with any word but one of medicine; ``line``: it is a field's value, where a comma can
        stand between family and given name."""
        context = self._context
        at = bisect_left(context.starts, place)
        if at < len(context.words) and context.text[place : context.words[at].start].strip("( \t\"'"):
            return
        taken: list[int] = []
        particles: list[int] = []
        while at < len(context.words) and len(taken) + len(particles) < _MOST_WORDS:
            word = context.words[at]
            if taken or particles:
                if not self._joins(at, taken, line):
                    break
            elif word.start - place > _FARTHEST:
                break
            if taken and self._ends(at):
                break
            small = unknown and not any(context.words[each].capital for each in taken)
            begun = any(len(context.words[each].text) > 1 for each in taken)
            after_initial = bool(taken) and context.words[taken[-1]].initial
            if self._is_particle(at, taken, any_word=lower or words):
                particles.append(at)
            elif (word.initial and not word.glued) or self._fits(
                at, first=not begun, lower=lower, unknown=small, words=words or after_initial, line=line
            ):
                taken.append(at)
            else:
                break
            at += 1
        if any(len(context.words[each].text) > 1 for each in taken) or (words and taken):
            self.names.update(taken, particles)
            self.sure.update(each for each in taken if len(context.words[each].text) > 2)

    def _is_particle(self, at: int, taken: list[int], *, any_word: bool) -> bool:
        word = self._context.words[at]
        if word.bare not in PARTICLES or (word.capital and taken):
            return False
        return self._context.particle_leads_to_name(at, any_word)

    def _joins(self, at: int, taken: list[int], line: bool) -> bool:
        """Whether what stands before a word can stand within a name."""
        gap, word = self._context.gap(at), self._context.words[at]
        last = self._context.words[taken[-1]] if taken else None
        if not _BETWEEN.fullmatch(gap):
            return False
        if "," in gap:
            if line and len(taken) < _MOST_BEFORE_COMMA:
                return word.sense <= Sense.WORD
            return word.sense is Sense.NAME and len(taken) == 1
        if "\n" in gap:
            return not line and word.sense <= Sense.UNKNOWN and word.capital and not word.headed
        if "." in gap and "-" not in gap and last and not last.initial:
            return len(last.text) <= 3 and word.sense <= Sense.BOTH
        return True

    def _ends(self, at: int) -> bool:
        """Whether the name ends before this word: it is the next field's, or begins a sentence."""
        word = self._context.words[at]
        colon = self._context.text[word.end : word.end + 3].lstrip().startswith(":")
        return colon or (word.first and word.sense >= Sense.WORD)

    def _fits(self, at: int, *, first: bool, lower: bool, unknown: bool, words: bool, line: bool) -> bool:
        """Whether a word is a part of an announced name, ``first``: the first of its words."""
        context, word = self._context, self._context.words[at]
        if word.glued or context.is_no_one(at) or len(word.text) < 2:
            return False
        if not word.capital:
            if unknown and self._is_no_word(word, titled=first and words, told=first and (words or line)):
                return True
            if word.sense is Sense.BOTH:
                return lower and words and first
            return lower and word.sense <= (Sense.RARE if first else Sense.UNKNOWN)
        if not words:
            if self._is_abbreviation(word, line):
                return not first or context.begins_a_name(at)
            if "-" in word.bare and word.sense is Sense.WORD:
                return False
            if not line and word.sense is not Sense.NAME and context.is_of_device(at):
                return False
        if first and words:
            kept = context.is_kept(at) or word.headed
            return word.sense is not Sense.TERM or not kept or self._is_in_field(word)
        if word.sense <= Sense.RARE:
            unlikely = word.sense is Sense.RARE and word.headed and not words and not line
            return not unlikely and not context.is_eponym(at)
        if word.sense is Sense.TERM:
            return False
        if not first:
            return context.zipf(at) < COMMON_BEHIND
        return context.begins_a_name(at) or (
            not word.headed and context.zipf(at) < (COMMON_BESIDE if words else SELDOM)
        )

    def _is_no_word(self, word: Word, *, titled: bool, told: bool) -> bool:
        """Whether a word in small letters is hardly anything but a name; after a title also one that is both, and right
        after it or a colon one that is only built like a word."""
        seen = self._context.vocabulary.zipf(word.bare)
        if word.sense is Sense.BOTH:
            return titled and seen < COMMON_BESIDE
        if word.sense is Sense.RARE:
            return told and not seen
        likely = word.sense <= Sense.UNKNOWN and len(word.text) > 2
        return likely and not self._context.vocabulary.is_verb(word.bare)

    @staticmethod
    def _is_abbreviation(word: Word, line: bool) -> bool:
        """In a field, a few capitals that nobody knows are a name, and those of a word are not: "BP", "EVA"."""
        likely = Sense.UNKNOWN if line else Sense.NAME
        return word.capitals and len(word.text) <= MOST_LETTERS_OF_ABBREVIATION and word.sense > likely

    def _is_in_field(self, word: Word) -> bool:
        """After "nom :" even a word of medicine is a name."""
        return bool(_FIELD_OF_NAME.search(self._context.bare, max(0, word.start - 14), word.start))
