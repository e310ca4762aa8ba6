"""One resource: de-identified, or refused with the reason."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date
from typing import Any

from protocol.data.pseudonyms import Pseudonyms
from protocol.fhir import consent
from protocol.fhir.compartment import MAY_BE_NOBODYS, PATIENT_IN
from protocol.fhir.context import Context, Notes
from protocol.fhir.elements import CONTAINED
from protocol.fhir.index import NO_ID, TWO, Index, target_of
from protocol.fhir.plans import Plans
from protocol.fhir.reading import Found
from protocol.fhir.references import ISSUER, PATIENT, Names
from protocol.fhir.resource import Clean
from protocol.fhir.tally import Tally

_MOST_PATIENTS = 512
_MOST_CONTAINED = 100
#: What changes the meaning of what stands beside it: without it, the rest says something else.
_CHANGES = ("modifierExtension", "implicitRules")


class NotTaken(Exception):
    """A resource that is not taken; the message is the reason, and quotes nothing."""


class Again(Exception):
    """A resource that came before, the same."""


class Deidentification:
    """De-identifies the resources of one source, after its first reading. ``tally`` counts what was done."""

    def __init__(
        self,
        plans: Plans,
        pseudonyms: Pseudonyms,
        index: Index,
        notes: Notes | None,
        today: date,
        tally: Tally,
    ) -> None:
        self.tally = tally
        self._plans, self._pseudonyms, self._index = plans, pseudonyms, index
        self._notes, self._today = notes, today
        self._names = Names(pseudonyms, index)
        self._contexts: OrderedDict[str, Context] = OrderedDict()

    def clean(self, found: Found) -> Clean:
        """Raises `NotTaken`, and `Again`."""
        resource = found.resource
        kind = resource["resourceType"]
        handle = self._plans.resources.get(kind)
        if handle is None:
            raise NotTaken(f"no rule names {kind}")
        target = target_of(found)
        if target is None:
            raise NotTaken(NO_ID)
        if self._index.is_conflicting(target):
            raise NotTaken(TWO)
        for name in _CHANGES:
            if name in resource:
                raise NotTaken(f"it has {name}, which changes what it means")
        context = self._context(self._patient(kind, target[1], resource))
        if self._index.is_again(target):
            raise Again
        key = self._names.key(*target)
        content: dict[str, Any] = {"resourceType": kind, "id": self._names.id(*target)}
        context.local = {}
        if CONTAINED in resource and kind in self._plans.containing:
            self._add_contained(content, resource[CONTAINED], context)
        content.update(handle(resource, context) or {})
        if kind == "Consent" and not consent.whole(resource, content):
            # A condition is lost: it would permit more than the patient did. A deny stays, for everything.
            if not consent.denies(resource):
                raise NotTaken("its permit depends on what the rules do not keep")
            content["provision"] = {"type": consent.DENY}
        aliases = self._aliases(target[1]) if kind == PATIENT else ()
        return Clean(key, kind, context.pseudonym, content, aliases)

    def _patient(self, kind: str, resource_id: str, resource: dict[str, Any]) -> str:
        """The logical id of a resource's patient; empty where its type has none."""
        if kind == PATIENT:
            patients = {resource_id}
        elif kind in PATIENT_IN:
            named = [resource[each] for each in PATIENT_IN[kind] if each in resource]
            if not named and kind in MAY_BE_NOBODYS:
                return ""
            targets = [self._names.told(each) for each in named]
            patients = {each[1] for each in targets if each and each[0] == PATIENT}
            if len(patients) != 1 or len(targets) != len([each for each in targets if each]):
                raise NotTaken(f"its {' or '.join(PATIENT_IN[kind])} is not one patient who can be told")
        else:
            return ""
        (patient,) = patients
        person = self._index.people.get(patient)
        if person is not None and person.reason:
            raise NotTaken(person.reason if kind == PATIENT else f"of its patient: {person.reason}")
        return patient

    def _context(self, patient: str) -> Context:
        context = self._contexts.get(patient)
        if context is not None:
            self._contexts.move_to_end(patient)
            return context
        person = self._index.people.get(patient)
        context = Context(
            self._names.patient(patient) if patient else "",
            self._pseudonyms,
            self.tally,
            names=self._names,
            known=person.known() if person else None,
            born=person.born if person else "",
            died=person.died if person else "",
            today=self._today,
            notes=self._notes,
            staff=self._index.staff,
        )
        self._contexts[patient] = context
        if len(self._contexts) > _MOST_PATIENTS:
            self._contexts.popitem(last=False)
        return context

    def _add_contained(self, content: dict[str, Any], given: Any, context: Context) -> None:
        """Resources within: by the rules of their types, under ids that only number them."""
        taken = []
        for number, each in enumerate(given[:_MOST_CONTAINED] if type(given) is list else (), start=1):
            own = each.get("id") if type(each) is dict else None
            kind = each.get("resourceType") if type(each) is dict else None
            if (
                type(own) is not str
                or type(kind) is not str
                or kind not in self._plans.resources
                or kind == PATIENT
            ):
                self.tally.unnamed += 1
                continue
            if any(name in each for name in _CHANGES) or f"#{own}" in context.local:
                self.tally.unnamed += 1
                continue
            context.local[f"#{own}"] = f"#c{number}"
            taken.append((number, kind, each))
        made = []
        for number, kind, each in taken:
            inside = self._plans.resources[kind](each, context)
            made.append({"resourceType": kind, "id": f"c{number}", **(inside or {})})
        if made:
            content[CONTAINED] = made

    def _aliases(self, patient: str) -> tuple[str, ...]:
        """Pseudonyms under which a patient is found beside the own one, of identifiers with and without system. A bare
        logical id is none: it may be another patient's number."""
        names = []
        for system, value in self._index.people[patient].identifiers:
            # Under this issuer stand logical ids.
            if system != ISSUER:
                names.append(self._pseudonyms.patient(value, system))
            names.append(self._pseudonyms.patient(value))
        return tuple(dict.fromkeys(names))
