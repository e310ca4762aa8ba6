"""Whose a resource is: R4's patient compartment, as far as the rules speak of it."""

from __future__ import annotations

#: By type: the elements that name its patient.
PATIENT_IN = {
    "RelatedPerson": ("patient",), "Encounter": ("subject",), "EpisodeOfCare": ("patient",), "Condition": ("subject",),
    "Observation": ("subject",), "DiagnosticReport": ("subject",), "Procedure": ("subject",),
    "MedicationRequest": ("subject",), "MedicationStatement": ("subject",), "MedicationAdministration": ("subject",),
    "MedicationDispense": ("subject",), "Immunization": ("patient",), "AllergyIntolerance": ("patient",),
    "CarePlan": ("subject",), "CareTeam": ("subject",), "Goal": ("subject",), "DocumentReference": ("subject",),
    "Composition": ("subject",), "Consent": ("patient",), "ImagingStudy": ("subject",), "ServiceRequest": ("subject",),
    "Specimen": ("subject",), "FamilyMemberHistory": ("patient",), "QuestionnaireResponse": ("subject",),
    "RiskAssessment": ("subject",), "ClinicalImpression": ("subject",), "Coverage": ("beneficiary",),
    "Claim": ("patient",), "ExplanationOfBenefit": ("patient",), "Device": ("patient",),
}  # fmt: skip
#: Of these some are of no patient: a device in the store.
MAY_BE_NOBODYS = frozenset({"Device"})
