"""What the rules need to know of the patient whose resources they are: shift, year of birth, names, what was seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from protocol.data.pseudonyms import Pseudonyms, moved
from protocol.fhir.known import Known, Words
from protocol.fhir.tally import Tally
from protocol.notes.markup import text_of, unmarked

#: FHIR's own expressions for dates (R4, 2.24.0.1): a time has a zone.
_YEAR = r"(?:[1-9][0-9]{3})"
_PARTIAL = re.compile(rf"({_YEAR})(?:-(?:0[1-9]|1[0-2]))?")
_DATE = re.compile(rf"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_MOMENT = re.compile(
    rf"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
)
DAYS_OF_A_YEAR = 365.2425
OLDEST = 90
_MOST_REMEMBERED = 2048
MOST_TEXT = 1 << 20


class CleanedText(Protocol):
    """A text without what names a person, and what was found in it, by kind."""

    text: str
    found: Mapping[str, int]


class Notes(Protocol):
    """De-identification of free text (`protocol.notes`)."""

    def clean(self, text: str, known: Any = ()) -> CleanedText:
        """A text, with the names and numbers that are known of the patient."""

    def clean_html(self, html: str, known: Any = ()) -> CleanedText:
        """The text of an XHTML narrative."""


class Names(Protocol):
    """What stands for what a resource names."""

    def refer(self, reference: dict[str, Any]) -> tuple[str, str]:
        """The reference in the place of a Reference, or nothing, and that to the patient whose it is, where known."""

    def identifier(self, system: str, value: str) -> str:
        """What stands for an identifier."""

    def uid(self, uid: str) -> str:
        """What stands for a UID of DICOM."""


class Context:
    """One patient's; or nobody's, with ``pseudonym`` empty: no date then stays, and no text."""

    def __init__(
        self,
        pseudonym: str,
        pseudonyms: Pseudonyms,
        tally: Tally,
        *,
        names: Names,
        known: Known | None = None,
        born: str = "",
        died: str = "",
        today: date,
        notes: Notes | None = None,
        staff: Words | None = None,
    ) -> None:
        """``known``: names of the patient, None where the source does not have the patient; ``born``, ``died``: as FHIR
        dates."""
        self.pseudonym, self.own = pseudonym, f"Patient/{pseudonym}"
        self.tally, self.names, self.known = tally, names, known
        self.local: dict[str, str] = {}
        self._notes, self._staff = notes, staff
        self._dates: dict[str, str | None] = {}
        self._moments: dict[str, str | None] = {}
        self._instants: dict[str, str | None] = {}
        self._codes: dict[str, bool] = {}
        if pseudonym:
            self._days = pseudonyms.shift(pseudonym)
            self._exact = self._days + pseudonyms.shift_seconds(pseudonym)
            self._years = round(self._days.days / DAYS_OF_A_YEAR)
        self._born = born if _DATE.fullmatch(born) else ""
        self.birth_year, self._first = self._birth(born, died, today) if pseudonym else (None, 0)

    # --- dates ---

    def date(self, value: str) -> str | None:
        """A date moved by the patient's shift; the year alone of a partial one, and of the day of birth; None for what
        is none."""
        return self._remembered(self._dates, value, self._moved_date)

    def moment(self, value: str) -> str | None:
        """As `date`, or of a date and time (dateTime) the wall clock where it was written, moved by days and seconds.
        The offset goes: the same hour in summer and in winter would tell the season by it."""
        return self._remembered(self._moments, value, self._moved_moment)

    def instant(self, value: str) -> str | None:
        """As `moment` (instant); none on the day of birth, for an instant cannot be a year."""
        return self._remembered(self._instants, value, self._moved_instant)

    def year(self, value: str) -> str | None:
        """The year of a moved date."""
        shifted = self.moment(value)
        return shifted[:4] if shifted else None

    def _remembered(
        self, seen: dict[str, str | None], value: str, move: Callable[[str], str | None]
    ) -> str | None:
        try:
            return seen[value]
        except KeyError:
            if len(seen) > _MOST_REMEMBERED:
                seen.clear()
            result = seen[value] = move(value) if self.pseudonym and len(value) < 64 else None
            return result

    def _moved_date(self, value: str) -> str | None:
        if partial := _PARTIAL.fullmatch(value):
            return self._within(int(partial[1]) + self._years, "")
        if not _DATE.fullmatch(value):
            return None
        try:
            day = moved(date.fromisoformat(value), self._days)
        except ValueError:
            return None
        if day is None:
            return None
        return self._within(day.year, "" if value == self._born else day.isoformat())

    def _moved_moment(self, value: str) -> str | None:
        if "T" not in value:
            return self._moved_date(value)
        return self._moved_date(self._born) if self._is_of_birth(value) else self._moved_clock(value)

    def _moved_instant(self, value: str) -> str | None:
        return None if self._is_of_birth(value) else self._moved_clock(value)

    def _moved_clock(self, value: str) -> str | None:
        if not (found := _MOMENT.fullmatch(value)):
            return None
        try:
            clock = datetime.fromisoformat(value).replace(tzinfo=None) + self._exact
        except (ValueError, OverflowError):
            return None
        return self._within(
            clock.year, clock.isoformat(timespec="milliseconds" if found[1] else "seconds") + "Z"
        )

    def _is_of_birth(self, value: str) -> bool:
        """Whether a moment is of the day of birth, where it was written or in UTC."""
        if not self._born or not _MOMENT.fullmatch(value):
            return False
        if value[:10] == self._born:
            return True
        if value[-1] == "Z":
            return False
        try:
            return datetime.fromisoformat(value).astimezone(UTC).date().isoformat() == self._born
        except (ValueError, OverflowError):
            return False

    def _within(self, year: int, text: str) -> str | None:
        """A moved date, unless it would tell that somebody is older than the year of birth as shown says."""
        if year < self._first:
            self.tally.before_birth += 1
            return None
        return text or (f"{year:04}" if year >= 1 else None)

    def _birth(self, born: str, died: str, today: date) -> tuple[str | None, int]:
        """The year of birth as shown: of people over 89, as of those who are 90, when they died or today (HIPAA
        45 CFR 164.514(b)(2)(i)(C)). And the first year that dates of theirs may have then, or 0."""
        self._first = 0
        shown = self._moved_moment(born) if born else None
        if shown is None:
            return None, 0
        began, last = _earliest(born), (_earliest(died) if died else None) or today
        if began is None or last - began < timedelta(days=int(OLDEST * DAYS_OF_A_YEAR)):
            return shown[:4], 0
        end = moved(last, self._days)
        return (f"{end.year - OLDEST:04}", end.year - OLDEST) if end else (None, 0)

    # --- codes ---

    def is_own(self, code: str) -> bool:
        """Whether a code is, or holds, a number or name of the patient's."""
        if self.known is None:
            return False
        try:
            return self._codes[code]
        except KeyError:
            if len(self._codes) > _MOST_REMEMBERED:
                self._codes.clear()
            own = self._codes[code] = self.known.in_code(code)
            return own

    # --- texts ---

    def text(self, value: str, *, html: bool = False) -> str | None:
        """A text without what names a person; None where nobody can tell."""
        if self._notes is None or self.known is None or len(value) > MOST_TEXT or "\0" in value:
            # With NUL in it, it was not decoded right.
            self.tally.unread_texts += 1
            return None
        read = text_of(value) if html else unmarked(value)
        known = [*self.known.texts, *(self._staff.in_text(read) if self._staff else ())]
        cleaned = self._notes.clean_html(value, known) if html else self._notes.clean(read, known)
        self.tally.texts.update(cleaned.found)
        if self.known.in_text(cleaned.text):
            self.tally.found_again += 1
            return None
        self.tally.cleaned += 1
        return cleaned.text


def _earliest(value: str) -> date | None:
    """The first day that a FHIR date can mean."""
    day = value[:10]
    for form in (day, f"{day}-01", f"{day}-01-01"):
        try:
            return date.fromisoformat(form)
        except ValueError:
            continue
    return None
