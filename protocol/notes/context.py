"""What stands around a word: the questions that decide whether it is a name."""

from __future__ import annotations

import re

from protocol.notes import cues
from protocol.notes.vocabulary import Sense, Vocabulary, listed
from protocol.notes.words import PARTICLES, Word

#: Zipf values. Below the first, a word with a capital within a sentence is taken for a name; below the second beside
#: a name, and below the third behind one.
SELDOM, COMMON_BESIDE, COMMON_BEHIND = 4.4, 5.0, 5.8
#: In capitals and no longer than this, a word that nobody knows is an abbreviation.
MOST_LETTERS_OF_ABBREVIATION = 4
#: Before these, what has a capital is a name.
SURE_PARTICLES = frozenset(
    ("van", "von", "der", "den", "ter", "ten", "el", "al", "ben", "bin", "ibn", "mac", "mc")
)
_LINE_OF_LETTER = 12
_SET_APART = re.compile(r"'s |, (?!and |et |or |ou )| ?\(")
_BEFORE_VERB = re.compile(r"[ \n]{1,2}(?:[ns]')?")
_AFTER_INITIAL = re.compile(r"\.[ \t]{0,2}|\.-")
_NUMBERED = re.compile(r" ?[\dIVX:]")
_NO_ONE = listed("no_one")


class Context:
    """A text, its words and what is known of them. Words are named by their places in the list."""

    def __init__(self, text: str, bare: str, words: list[Word], vocabulary: Vocabulary) -> None:
        self.text, self.bare, self.words, self.vocabulary = text, bare, words, vocabulary
        self.starts = [word.start for word in words]
        #: What stands in small letters somewhere is a word.
        self.small = {word.bare for word in words if not word.capital}

    def gap(self, at: int) -> str:
        """What stands between a word and the one before it."""
        return self.text[self.words[at - 1].end : self.words[at].start]

    def is_no_one(self, at: int) -> bool:
        """Whether it addresses people, or names a place of care, without a name."""
        return self.words[at].bare in _NO_ONE

    def zipf(self, at: int) -> float:
        """How often the word is seen."""
        return self.vocabulary.zipf(self.words[at].bare)

    def is_kept(self, at: int) -> bool:
        """Whether a list says that its capital means something else."""
        return self.vocabulary.is_kept(self.words[at].bare)

    def is_label(self, at: int) -> bool:
        """Whether a colon follows."""
        end = self.words[at].end
        return self.text[end : end + 2].lstrip().startswith(":")

    def is_of_device(self, at: int) -> bool:
        """ "Tegaderm dressing", "Fleischner criteria"."""
        return bool(cues.DEVICE_AFTER.match(self.bare, self.words[at].end))

    def is_drug(self, at: int) -> bool:
        """Whether a dose follows, or words stand before it that a drug follows."""
        word = self.words[at]
        if cues.DOSE.match(self.bare, word.end):
            return True
        return bool(cues.DRUG_BEFORE.search(self.bare, max(0, word.start - 60), word.start))

    def is_eponym(self, at: int) -> bool:
        """Whether the name is a disease's, a sign's or a device's here."""
        word = self.words[at]
        if word.sense is Sense.NAME and not self.vocabulary.is_eponym(word.bare):
            return False
        if cues.EPONYM_AFTER.match(self.bare, word.end):
            return self.vocabulary.is_eponym(word.bare) or self.bare.startswith("'", word.end)
        return bool(cues.EPONYM_BEFORE.search(self.bare, max(0, word.start - 48), word.start))

    def is_alone(self, at: int) -> bool:
        """Whether the words around it are small: one capital in a sentence."""
        around = [self.words[each] for each in (at - 1, at + 1) if 0 <= each < len(self.words)]
        near = [each for each in around if each.line == self.words[at].line and not each.first]
        return not any(each.capital for each in near) and not _NUMBERED.match(self.text, self.words[at].end)

    def acts(self, at: int) -> bool:
        """Whether what follows is done by people: "Bolt refuses"."""
        return bool(cues.ACTING.match(self.bare, self.words[at].end))

    def is_subject(self, at: int) -> bool:
        """Whether a word at the beginning of a sentence is someone: set apart, or with a verb behind it."""
        word = self.words[at]
        if _SET_APART.match(self.bare, word.end):
            return True
        if at + 1 >= len(self.words):
            return False
        after = self.words[at + 1]
        between = self.bare[word.end : after.start]
        if not _BEFORE_VERB.fullmatch(between):
            return False
        unknown = after.capital and after.sense <= Sense.UNKNOWN
        return unknown or "'" in between or self.vocabulary.is_verb(after.bare)

    def begins_a_name(self, at: int) -> bool:
        """Whether a word with a capital has a name right behind it: "Cork, Niamh"."""
        if at + 1 >= len(self.words) or self.gap(at + 1) not in (" ", ", ", "-"):
            return False
        after = self.words[at + 1]
        return after.capital and after.sense <= Sense.UNKNOWN and not after.glued

    def follows_name(self, at: int) -> bool:
        """Whether the word before it can be a part of a name."""
        return at > 0 and self.words[at - 1].capital and self.words[at - 1].sense <= Sense.BOTH

    def follows_particle(self, at: int) -> bool:
        """ "van Aden"."""
        if not at or self.gap(at) != " ":
            return False
        before = self.words[at - 1]
        return before.bare in SURE_PARTICLES and not before.first

    def particle_leads_to_name(self, at: int, any_word: bool) -> bool:
        """Whether, over further particles, a name follows; ``any_word``: small letters and words of the language do."""
        for each in range(at + 1, min(at + 4, len(self.words))):
            word = self.words[each]
            if self.gap(each).strip(" '"):
                return False
            if word.bare in PARTICLES:
                continue
            if word.sense < Sense.WORD:
                return word.capital or any_word
            return word.capital and any_word and word.sense is Sense.WORD
        return False

    def is_monsieur(self, at: int) -> bool:
        """ "M. Petit", and not "A. M. Petit"."""
        return self.words[at].text == "M" and (at == 0 or not self.words[at - 1].initial)

    def is_initial_of_name(self, at: int, left: int = 2) -> bool:
        """ "J. Smith": an initial with its point, then a word with a capital that can be a name."""
        word = self.words[at]
        if word.glued or self.is_monsieur(at) or at + 1 >= len(self.words):
            return False
        if not _AFTER_INITIAL.fullmatch(self.gap(at + 1)):
            return False
        step = at + 1
        while (
            self.words[step].bare in PARTICLES and not self.words[step].capital and step + 2 < len(self.words)
        ):
            step += 1
            if step > at + 3:
                return False
        after = self.words[step]
        if after.initial:
            return left > 0 and self.is_initial_of_name(step, left - 1)
        return after.capital and after.sense < Sense.WORD and len(after.text) > 2 and not self.is_eponym(step)

    def goes_with_name(self, at: int, *, behind: bool) -> bool:
        """Whether a word with a capital beside a name, before or behind it, is a part of it."""
        word = self.words[at]
        if word.bare in PARTICLES:
            return not word.first
        if self.is_no_one(at) or self.is_label(at) or word.sense is Sense.TERM:
            return False
        if word.capitals and len(word.text) <= 3 and word.sense >= Sense.RARE:
            return False
        if word.sense is Sense.BOTH and word.first and self.zipf(at) >= COMMON_BESIDE:
            return False
        if word.sense <= Sense.BOTH:
            return not self.is_kept(at) or (behind and not word.headed)
        if word.sense is Sense.RARE:
            return True
        if word.first or word.headed:
            return not behind and self.zipf(at) < SELDOM
        return self.zipf(at) < (COMMON_BEHIND if behind else COMMON_BESIDE)

    def is_name_alone(self, first: int, stop: int) -> bool:
        """Whether words that are all of a line are a name: "HUREMOVIC Merlin"."""
        line = self.words[first:stop]
        if any(word.glued or word.sense is Sense.TERM or word.bare in _NO_ONE for word in line):
            return False
        if not all(word.capital or word.bare in PARTICLES for word in line):
            return False
        if not any(word.sense <= Sense.UNKNOWN and len(word.text) > 2 for word in line):
            return False
        begin = self.text.rfind("\n", 0, line[0].start) + 1
        end = self.text.find("\n", line[-1].end)
        around = (
            self.text[begin : line[0].start] + self.text[line[-1].end : len(self.text) if end < 0 else end]
        )
        within = self.text[line[0].start : line[-1].end]
        return (
            len(around) < _LINE_OF_LETTER
            and not re.search(r"[\d:]", around)
            and not re.search(r"[^\w\s,.'-]", within)
        )
