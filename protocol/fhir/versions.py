"""Which resources are of FHIR R4 (4.0.1), and which only look like it.

A resource does not say its version. Its type may be of one version alone; a type of several versions may come in the
shape that another one gives it. What is read in the wrong version is read wrongly, so it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Types of R4.
R4 = _names(
    """
    Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary
    BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
    ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest
    CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage CoverageEligibilityRequest
    CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
    DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest
    EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit
    FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization
    ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List
    Location Measure MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge
    MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
    MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
    MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
    MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionOrder
    Observation ObservationDefinition OperationDefinition OperationOutcome Organization OrganizationAffiliation
    Parameters Patient PaymentNotice PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole
    Procedure Provenance Questionnaire QuestionnaireResponse RelatedPerson RequestGroup ResearchDefinition
    ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment RiskEvidenceSynthesis Schedule
    SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition StructureMap Subscription
    Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation
    SubstanceSourceMaterial SubstanceSpecification SupplyDelivery SupplyRequest Task TerminologyCapabilities
    TestReport TestScript ValueSet VerificationResult VisionPrescription
    """
)
#: Types that R4 no longer has: of STU3 and before.
STU3 = _names(
    """
    BodySite Conformance Contraindication DataElement DeviceComponent DeviceUseRequest DiagnosticOrder
    EligibilityRequest EligibilityResponse ExpansionProfile ImagingManifest ImagingObjectSelection MedicationOrder
    Order OrderResponse ProcedureRequest ProcessRequest ProcessResponse ReferralRequest Sequence ServiceDefinition
    """
)
#: Types that R4 does not have yet: of R4B and R5.
R5 = _names(
    """
    ActorDefinition AdministrableProductDefinition ArtifactAssessment BiologicallyDerivedProductDispense Citation
    ClinicalUseDefinition ConditionDefinition DeviceAssociation DeviceDispense DeviceUsage EncounterHistory
    EvidenceReport FormularyItem GenomicStudy ImagingSelection Ingredient InventoryItem InventoryReport
    ManufacturedItemDefinition MedicinalProductDefinition NutritionIntake NutritionProduct
    PackagedProductDefinition Permission RegulatedAuthorization Requirements SubscriptionStatus SubscriptionTopic
    SubstanceDefinition TestPlan Transport
    """
)

_LOOKS = "it looks like FHIR {}, not R4"


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


def _there(_: Any) -> bool:
    return True


def _codeable_reference(value: Any) -> bool:
    """R5's CodeableReference in the place of a CodeableConcept or Reference."""
    several = value if type(value) is list else [value]
    return any(
        type(each) is dict and ("concept" in each or type(each.get("reference")) is dict) for each in several
    )


def _concepts(value: Any) -> bool:
    """R5's CodeableConcept in the place of a Coding."""
    return type(value) is list and any(type(each) is dict and "coding" in each for each in value)


#: By type: an element, what its value must be for the resource to be of another version, and which.
_SHAPES: dict[str, tuple[tuple[str, Callable[[Any], bool], str], ...]] = {
    "AllergyIntolerance": (
        ("clinicalStatus", _is(str), "STU3"), ("verificationStatus", _is(str), "STU3"), ("type", _is(dict), "R5"),
        ("participant", _there, "R5"),
    ),
    "CarePlan": (
        ("context", _there, "STU3"), ("definition", _there, "STU3"), ("addresses", _codeable_reference, "R5"),
        ("custodian", _there, "R5"),
    ),
    "Condition": (
        ("clinicalStatus", _is(str), "STU3"), ("verificationStatus", _is(str), "STU3"), ("context", _there, "STU3"),
        ("assertedDate", _there, "STU3"), ("participant", _there, "R5"),
    ),
    "Consent": (
        ("consentingParty", _there, "STU3"), ("except", _there, "STU3"), ("purpose", _there, "STU3"),
        ("actor", _there, "STU3"), ("subject", _there, "R5"), ("decision", _there, "R5"),
        ("provision", _is(list), "R5"),
    ),
    "DiagnosticReport": (
        ("context", _there, "STU3"), ("codedDiagnosis", _there, "STU3"), ("image", _there, "STU3"),
        ("supportingInfo", _there, "R5"), ("composition", _there, "R5"),
    ),
    "DocumentReference": (
        ("indexed", _there, "STU3"), ("created", _there, "STU3"), ("context", _is(list), "R5"),
        ("attester", _there, "R5"),
        ("bodySite", _there, "R5"),
    ),
    "Encounter": (
        ("class", _is(list), "R5"), ("actualPeriod", _there, "R5"), ("admission", _there, "R5"),
        ("reason", _is(list), "R5"),
        ("incomingReferral", _there, "STU3"),
    ),
    "Goal": (("status", _there, "STU3"), ("target", _is(dict), "STU3"), ("acceptance", _there, "R5")),
    "ImagingStudy": (
        ("availability", _there, "STU3"), ("context", _there, "STU3"), ("patient", _there, "STU3"),
        ("modality", _concepts, "R5"),
    ),
    "Immunization": (
        ("notGiven", _there, "STU3"), ("date", _there, "STU3"), ("practitioner", _there, "STU3"),
        ("explanation", _there, "STU3"), ("vaccinationProtocol", _there, "STU3"), ("basedOn", _there, "R5"),
        ("reason", _there, "R5"), ("administeredProduct", _there, "R5"),
    ),
    "Medication": (("isBrand", _there, "STU3"), ("isOverTheCounter", _there, "STU3"), ("doseForm", _there, "R5")),
    "MedicationAdministration": (
        ("notGiven", _there, "STU3"), ("prescription", _there, "STU3"), ("medication", _there, "R5"),
        ("occurenceDateTime", _there, "R5"), ("isSubPotent", _there, "R5"),
    ),
    "MedicationDispense": (
        ("notDone", _there, "STU3"), ("medication", _there, "R5"), ("notPerformedReason", _there, "R5"),
    ),
    "MedicationRequest": (
        ("context", _there, "STU3"), ("definition", _there, "STU3"), ("medication", _there, "R5"),
        ("reason", _there, "R5"), ("requester", lambda value: type(value) is dict and "agent" in value, "STU3"),
    ),
    "MedicationStatement": (
        ("taken", _there, "STU3"), ("medication", _there, "R5"), ("adherence", _there, "R5"), ("reason", _there, "R5"),
    ),
    "Observation": (
        ("context", _there, "STU3"), ("comment", _there, "STU3"), ("related", _there, "STU3"),
        ("triggeredBy", _there, "R5"), ("bodyStructure", _there, "R5"), ("instantiatesCanonical", _there, "R5"),
    ),
    "Patient": (("animal", _there, "STU3"),),
    "Procedure": (
        ("context", _there, "STU3"), ("notDone", _there, "STU3"), ("definition", _there, "STU3"),
        ("occurrenceDateTime", _there, "R5"), ("occurrencePeriod", _there, "R5"), ("reason", _there, "R5"),
        ("used", _there, "R5"),
    ),
    "ServiceRequest": (("code", _codeable_reference, "R5"), ("reason", _there, "R5")),
}  # fmt: skip

#: In `meta.profile` and `fhirVersion`: what names another version outright.
_MARKS = {
    "STU3": ("/STU3/", "|3.0", "/3.0/"),
    "R5": ("/R5/", "|5.0", "/5.0/", "|4.3", "/4.3/"),
}


def reason_against_type(kind: Any) -> str:
    """Why no resource of R4 has this `resourceType`; empty when one may. Types of other versions are named."""
    if type(kind) is not str:
        return "not a FHIR resource: without resourceType"
    if kind in R4:
        return ""
    for types, version in ((STU3, "STU3"), (R5, "R5")):
        if kind in types:
            return f"{kind} is a type of FHIR {version}, not R4"
    return "its resource type is not of FHIR R4"


def reason_against_shape(kind: str, resource: dict[str, Any]) -> str:
    """Why a resource of a type of R4 is of another version after all; empty when nothing says so."""
    for element, is_other, version in _SHAPES.get(kind, ()):
        if element in resource and is_other(resource[element]):
            return _LOOKS.format(version)
    meta = resource.get("meta")
    profiles = meta.get("profile") if type(meta) is dict else None
    stated = resource.get("fhirVersion")
    if profiles is None and stated is None:
        return ""
    said = [each for each in profiles if type(each) is str] if type(profiles) is list else []
    if type(stated) is str:
        said.append(f"|{stated}")
    for version, marks in _MARKS.items():
        if any(mark in each for mark in marks for each in said):
            return _LOOKS.format(version)
    return ""
