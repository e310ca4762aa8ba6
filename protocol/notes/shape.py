"""Names that nothing announces: a capital where the language wants none, on a word that neither the language nor
medicine knows."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator

from protocol.notes.context import MOST_LETTERS_OF_ABBREVIATION, SELDOM, Context
from protocol.notes.vocabulary import Sense
from protocol.notes.words import Word

_COLON = re.compile(r":[ \t]{1,3}")
_END_OF_VALUE = re.compile(r"[ ]?(?:[.,;)\n(]|$)")
_MOST_IN_LINE = 4


def by_shape(context: Context, found: Collection[int]) -> Iterator[int]:
    """Places of words that look like names, without those that were ``found`` before."""
    for at, word in enumerate(context.words):
        if at not in found and word.capital and not word.glued and _looks_like_one(context, at, word):
            yield at


def _looks_like_one(context: Context, at: int, word: Word) -> bool:
    if word.sense is Sense.TERM or len(word.text) < 3 or context.is_eponym(at):
        return word.initial and context.is_initial_of_name(at)
    if (
        word.capitals
        and len(word.text) <= MOST_LETTERS_OF_ABBREVIATION
        and not context.vocabulary.is_own_name(word.bare)
    ):
        whole = len(word.text) == MOST_LETTERS_OF_ABBREVIATION
        return word.sense is Sense.NAME and whole and not word.headed
    if word.sense is Sense.NAME or context.follows_particle(at):
        return True
    if context.is_drug(at) or word.bare in context.small or context.is_of_device(at):
        return False
    if word.sense is Sense.UNKNOWN:
        if word.capitals and not context.is_label(at):
            return True
        return not word.first or context.is_subject(at)
    return _rare_or_common(context, at, word)


def _rare_or_common(context: Context, at: int, word: Word) -> bool:
    """A word that the language knows, or could know: by its place in the sentence."""
    seldom = context.zipf(at) < SELDOM
    if word.first and context.acts(at):
        return seldom and not context.is_kept(at)
    if word.first or word.headed:
        return False
    if word.capitals:
        return word.sense is Sense.RARE and context.is_alone(at)
    if word.sense is Sense.WORD:
        return seldom and context.is_alone(at)
    return not context.is_kept(at)


def lines(context: Context) -> Iterator[range]:
    """Lines of two to four words that are a name."""
    words, start = context.words, 0
    while start < len(words):
        stop = start
        while stop < len(words) and words[stop].line == words[start].line:
            stop += 1
        if 2 <= stop - start <= _MOST_IN_LINE and context.is_name_alone(start, stop):
            yield range(start, stop)
        start = stop


def values(context: Context) -> Iterator[range]:
    """What stands alone behind a colon, in two to four words with capitals: "Health visitor: Macie Frame."."""
    for found in _COLON.finditer(context.text):
        first = last = bisect_left(context.starts, found.end())
        if first >= len(context.words) or context.words[first].start != found.end():
            continue
        while (
            last + 1 < len(context.words)
            and last + 1 - first < _MOST_IN_LINE
            and context.gap(last + 1) in (" ", "-", ", ")
        ):
            last += 1
        value = range(first, last + 1)
        end = context.words[last].end
        if len(value) > 1 and _END_OF_VALUE.match(context.text[end : end + 2]) and _is_a_name(context, value):
            yield value


def _is_a_name(context: Context, value: range) -> bool:
    words = [context.words[at] for at in value]
    if any(context.is_no_one(at) for at in value) or any(
        word.glued or word.sense is Sense.TERM for word in words
    ):
        return False
    if not all(word.capital and not word.capitals for word in words):
        return False
    return any(word.sense in (Sense.NAME, Sense.UNKNOWN, Sense.RARE) for word in words)
