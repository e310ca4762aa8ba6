"""FHIR in, nothing personal out: a source read twice, and de-identified at the second reading.

First: full URLs, patients, identifiers, what comes twice. Second: each resource by the rules. Memory grows with what
the first reading keeps (see `protocol.fhir.index`), not with the resources' size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import Any

from protocol.data.pseudonyms import Pseudonyms
from protocol.fhir.context import Notes
from protocol.fhir.deidentify import Again, Deidentification, NotTaken
from protocol.fhir.index import Index
from protocol.fhir.plans import Plans
from protocol.fhir.reading import Found, Refused, Source
from protocol.fhir.resource import Clean
from protocol.fhir.rules import Rules
from protocol.fhir.tally import Tally


class Deidentified:
    """An iterator over what comes of a source, each resource or the reason why it was refused."""

    def __init__(
        self,
        source: Source,
        rules: Rules,
        pseudonyms: Pseudonyms,
        notes: Notes | None,
        servers: Collection[str],
        today: date,
    ) -> None:
        self._tally = Tally()
        self._rules = rules
        self._items = self._all(source, Plans(rules), pseudonyms, notes, servers, today)

    def __iter__(self) -> Iterator[Clean | Refused]:
        return self

    def __next__(self) -> Clean | Refused:
        return next(self._items)

    @property
    def report(self) -> dict[str, Any]:
        """Counts of what was done so far, for the evidence: exact, so that who publishes them has to see to it that
        none is of too few patients."""
        return {
            "rules": self._rules.name,
            "rules_digest": self._rules.digest().hex(),
            **self._tally.to_dict(),
        }

    def _all(
        self,
        source: Source,
        plans: Plans,
        pseudonyms: Pseudonyms,
        notes: Notes | None,
        servers: Collection[str],
        today: date,
    ) -> Iterator[Clean | Refused]:
        tally = self._tally
        index = Index(servers)
        for each in source:
            if type(each) is Found:
                index.add(each)
        index.finish()
        work = Deidentification(plans, pseudonyms, index, notes, today, tally)
        for each in source:
            if type(each) is not Found:
                tally.refused[each.reason] += 1
                yield each
                continue
            try:
                clean = work.clean(each)
            except Again:
                tally.repeated += 1
                continue
            except NotTaken as reason:
                tally.refused[str(reason)] += 1
                yield Refused(each.file, each.number, str(reason))
                continue
            tally.taken[clean.type] += 1
            yield clean


def deidentified(
    source: Source,
    rules: Rules,
    pseudonyms: Pseudonyms,
    notes: Notes | None = None,
    *,
    servers: Collection[str] = (),
    today: date | None = None,
) -> Deidentified:
    """De-identifies a source. Without ``notes`` no free text stays. ``servers``: base URLs under which other systems
    refer to these resources, beside those of full URLs. ``today``: of ages over 89 of the living. Raises DataError for
    a file that cannot be opened."""
    return Deidentified(source, rules, pseudonyms, notes, servers, today or date.today())
