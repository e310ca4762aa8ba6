"""What a patient's consents (FHIR R4, Consent) say of a purpose: permit, deny, or nothing.

A consent has a base, `policyRule` (OPTIN permits, OPTOUT denies), and `provision`, an exception from it that may have
exceptions in turn. Where a provision depends on what a cohort does not know (who acts, which class of data), it denies
the whole and permits nothing. Consents for research count; those for privacy count too, and permit only a purpose that
they name; those whose scope is not known may deny. The newest that says something holds; of one day, a deny.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Literal

Answer = Literal["permit", "deny"]
PERMIT: Answer = "permit"
DENY: Answer = "deny"

_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_POLICY = "http://terminology.hl7.org/CodeSystem/consentpolicycodes"
_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
_RESEARCH, _PRIVACY, _UNTOLD = "research", "patient-privacy", ""
_BASES: dict[tuple[str, str], Answer] = {
    (_ACT_CODE, "OPTIN"): PERMIT,
    (_ACT_CODE, "OPTINR"): DENY,
    (_ACT_CODE, "OPTOUT"): DENY,
    (_ACT_CODE, "OPTOUTE"): DENY,
    (_POLICY, "opt-in"): PERMIT,
    (_POLICY, "opt-out"): DENY,
}
#: v3-ActReason: what each purpose is a kind of.
_KIND_OF = {
    "HRESCH": "PURPOSEOFUSE",
    "BIORCH": "HRESCH",
    "CLINTRCH": "HRESCH",
    "DSRCH": "HRESCH",
    "POARCH": "HRESCH",
    "PRECLINTRCH": "HRESCH",
    "TRANSRCH": "HRESCH",
}
#: Parts of a provision that a cohort cannot look at.
_UNSEEN = ("actor", "action", "securityLabel", "class", "code", "dataPeriod", "data")
_USES = frozenset({"collect", "access", "use"})
#: Times of a patient's day are moved by less than a day, on top of the dates' shift.
_A_DAY = timedelta(days=1)
_DEEPEST = 16


def decision(
    resources: Iterable[Mapping[str, Any]], purpose: str = "HRESCH", at: date | None = None
) -> Answer | None:
    """What the consents of one patient, de-identified, say of a purpose (v3-ActReason).

    ``at``: the day that is asked for, moved as the patient's dates are: today + `Pseudonyms.shift` of the pseudonym.
    Without it the periods are not looked at where they end or begin, and a permit with one does not count.
    """
    newest: tuple[date, bool] | None = None
    for resource in resources:
        if resource.get("resourceType") != "Consent" or resource.get("status") != "active":
            continue
        answer = _answer(resource, purpose, at)
        if answer is None:
            continue
        denies = answer == DENY
        when = (_day(resource.get("dateTime"), last=denies) or (date.max if denies else date.min), denies)
        newest = when if newest is None else max(newest, when)
    return None if newest is None else DENY if newest[1] else PERMIT


def _answer(consent: Mapping[str, Any], purpose: str, at: date | None) -> Answer | None:
    scope = _scope(consent)
    if scope is None:
        return None
    base = next((_BASES[each] for each in _codes(consent.get("policyRule")) if each in _BASES), None)
    if scope != _RESEARCH and base == PERMIT:
        base = None
    answer = base
    provision = consent.get("provision")
    if isinstance(provision, Mapping):
        answer = _of(provision, answer, purpose, at, scope, named=False, depth=0)
    return (
        DENY
        if answer == DENY or (scope == _UNTOLD and answer)
        else answer
        if answer != PERMIT or scope
        else None
    )


def _of(
    provision: Mapping[str, Any],
    inherited: Answer | None,
    purpose: str,
    at: date | None,
    scope: str,
    *,
    named: bool,
    depth: int,
) -> Answer | None:
    """The answer of a provision in the place of the one that it is an exception from."""
    purposes = {code for system, code in _codings(provision.get("purpose")) if system == _ACT_REASON}
    stated = "purpose" in provision
    if stated and not purposes & _wider(purpose):
        return inherited
    named = named or stated
    kind = provision.get("type")
    answer = inherited
    if kind == DENY and _covers(provision.get("period"), at, generous=True):
        answer = DENY
    elif kind == PERMIT:
        sure = not any(part in provision for part in _UNSEEN if part != "action") and _acts(provision)
        if sure and (named or scope == _RESEARCH) and _covers(provision.get("period"), at, generous=False):
            answer = PERMIT
    elif kind not in (DENY, PERMIT) and not _covers(
        provision.get("period"), at, generous=inherited != PERMIT
    ):
        answer = None if inherited == PERMIT else inherited
    if depth >= _DEEPEST:
        return DENY
    nested = provision.get("provision")
    inner = [
        _of(each, answer, purpose, at, scope, named=named, depth=depth + 1)
        for each in (nested if isinstance(nested, list) else [nested] if isinstance(nested, Mapping) else [])
        if isinstance(each, Mapping)
    ]
    changed = [each for each in inner if each != answer]
    return (DENY if DENY in changed else changed[0]) if changed else answer


def _acts(provision: Mapping[str, Any]) -> bool:
    """Whether a permit is for the use of data, or for any act."""
    return "action" not in provision or any(code in _USES for _, code in _codes(provision["action"]))


def _wider(purpose: str) -> set[str]:
    """A purpose and what it is a kind of."""
    found = {purpose}
    while (purpose := _KIND_OF.get(purpose, "")) and purpose not in found:
        found.add(purpose)
    return found


def _scope(consent: Mapping[str, Any]) -> str | None:
    codes = {code for system, code in _codes(consent.get("scope")) if system == _SCOPE}
    if _RESEARCH in codes:
        return _RESEARCH
    if _PRIVACY in codes:
        return _PRIVACY
    return None if codes else _UNTOLD


def _covers(period: Any, at: date | None, *, generous: bool) -> bool:
    """Whether a day is within a period. ``generous``: where it is not sure, it is; else it is not."""
    if period is None:
        return True
    if not isinstance(period, Mapping) or at is None:
        return generous
    start, end = _day(period.get("start"), last=not generous), _day(period.get("end"), last=generous)
    if ("start" in period and start is None) or ("end" in period and end is None):
        return generous
    if start and generous and "T" in period["start"]:
        start -= _A_DAY
    if end and not generous and "T" in period["end"]:
        end -= _A_DAY
    return (start is None or start <= at) and (end is None or at <= end)


def _day(value: Any, *, last: bool) -> date | None:
    """The first or last day that a FHIR date means."""
    if not isinstance(value, str):
        return None
    try:
        if len(value) >= 10:
            return date.fromisoformat(value[:10])
        if len(value) == 4:
            return date(int(value), 12, 31) if last else date(int(value), 1, 1)
    except ValueError:
        pass
    return None


def _codes(value: Any) -> Iterator[tuple[str, str]]:
    """System and code of one or several CodeableConcepts."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, Mapping):
            yield from _codings(each.get("coding"))


def _codings(value: Any) -> Iterator[tuple[str, str]]:
    for each in value if isinstance(value, list) else [value]:
        if (
            isinstance(each, Mapping)
            and isinstance(each.get("system"), str)
            and isinstance(each.get("code"), str)
        ):
            yield each["system"], each["code"]


# --- what de-identification must not widen ---


def whole(original: Mapping[str, Any], clean: Mapping[str, Any]) -> bool:
    """Whether all conditions of a Consent's provisions are still there, so that it permits no more than it did."""
    before, after = original.get("provision"), clean.get("provision")
    if before is None:
        return True
    return isinstance(before, Mapping) and isinstance(after, Mapping) and _same(before, after, 0)


def _same(before: Mapping[str, Any], after: Mapping[str, Any], depth: int) -> bool:
    if depth > _DEEPEST or set(before) - {"id"} != set(after):
        return False
    for name, value in after.items():
        given = before[name]
        if isinstance(value, list) != isinstance(given, list) or (
            isinstance(value, list) and len(value) != len(given)
        ):
            return False
        if name in ("period", "dataPeriod") and set(given) != set(value):
            return False
        if name == "provision":
            pairs = zip(given, value, strict=True) if isinstance(value, list) else [(given, value)]
            if not all(isinstance(one, Mapping) and _same(one, other, depth + 1) for one, other in pairs):
                return False
    return True


def denies(original: Mapping[str, Any]) -> bool:
    """Whether a Consent, in any provision, denies."""
    if any(_BASES.get(each) == DENY for each in _codes(original.get("policyRule"))):
        return True
    level = [original.get("provision")]
    for _ in range(_DEEPEST):
        level = [
            each
            for one in level
            for each in (one if isinstance(one, list) else [one])
            if isinstance(each, Mapping)
        ]
        if any(each.get("type") == DENY for each in level):
            return True
        level = [each.get("provision") for each in level]
    return bool([each for each in level if each])
