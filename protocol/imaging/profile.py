"""What becomes of each attribute: PS3.15, Annex E, Basic Application Level Confidentiality Profile.

The rows of Table E.1-1 come from dicom-anonymizer, which keeps them with the standard. Options applied: Clean Pixel
Data, Retain Longitudinal Temporal Information with Modified Dates, Retain Device Identity. Where the table leaves a
choice by the type of the attribute in its IOD (X/Z, X/D, Z/D), the attribute stays with a dummy or empty value, which
suits every type; sequences go.

Stricter than the standard in what the table does not name: that is removed, unless it is of the picture, its geometry,
its codes or its device, as listed here. So is what comes with another value representation than the dictionary's.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table_e1_1
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import BaseTag, Tag

#: Of the profile as built here: it stands in the evidence. Another result for any input asks for another name.
PROFILE = "salus-ultrasound-1"
EDITION = "2026c"

#: PS3.16, CID 7050, for DeidentificationMethodCodeSequence.
METHODS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113101", "Clean Pixel Data Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113109", "Retain Device Identity Option"),
)


class Action(Enum):
    """The action codes of Table E.1-1a, as far as they are used here."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    #: C, for dates: moved by the patient's shift.
    SHIFT = "C"


_PICTURE = """
    SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation
    PlanarConfiguration PixelAspectRatio PixelSpacing PixelSpacingCalibrationType NumberOfFrames
    FrameIncrementPointer PatientOrientation PixelData LossyImageCompression LossyImageCompressionRatio
    LossyImageCompressionMethod UltrasoundColorDataPresent PresentationLUTShape WindowCenter WindowWidth
    VOILUTFunction RescaleIntercept RescaleSlope RedPaletteColorLookupTableDescriptor
    GreenPaletteColorLookupTableDescriptor BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData
    GreenPaletteColorLookupTableData BluePaletteColorLookupTableData
"""
_CINE = """
    FrameTime FrameTimeVector FrameDelay CineRate RecommendedDisplayFrameRate EffectiveDuration StartTrim StopTrim
    ActualFrameDuration PreferredPlaybackSequencing RepresentativeFrameNumber HeartRate NominalInterval
"""
_INSTANCE = """
    SpecificCharacterSet ImageType SOPClassUID Modality Manufacturer ManufacturerModelName SoftwareVersions
    InstanceNumber SeriesNumber AcquisitionNumber Laterality ImageLaterality BodyPartExamined ViewName ViewNumber
    NumberOfViewsInStage StageName StageNumber NumberOfStages
"""
_ULTRASOUND = """
    TransducerData TransducerType ProcessingFunction MechanicalIndex BoneThermalIndex CranialThermalIndex
    SoftTissueThermalIndex SoftTissueFocusThermalIndex SoftTissueSurfaceThermalIndex DepthOfScanField OutputPower
    FocusDepth SequenceOfUltrasoundRegions RegionSpatialFormat RegionDataType RegionFlags RegionLocationMinX0
    RegionLocationMinY0 RegionLocationMaxX1 RegionLocationMaxY1 ReferencePixelX0 ReferencePixelY0
    ReferencePixelPhysicalValueX ReferencePixelPhysicalValueY PhysicalUnitsXDirection PhysicalUnitsYDirection
    PhysicalDeltaX PhysicalDeltaY TransducerFrequency PulseRepetitionFrequency DopplerCorrectionAngle SteeringAngle
    DopplerSampleVolumeXPosition DopplerSampleVolumeYPosition TMLinePositionX0 TMLinePositionY0 TMLinePositionX1
    TMLinePositionY1 PixelComponentOrganization PixelComponentMask PixelComponentRangeStart PixelComponentRangeStop
    PixelComponentPhysicalUnits PixelComponentDataType NumberOfTableBreakPoints TableOfXBreakPoints
    TableOfYBreakPoints NumberOfTableEntries TableOfPixelValues TableOfParameterValues
"""
_CODES = """
    AnatomicRegionSequence AnatomicRegionModifierSequence PrimaryAnatomicStructureSequence ViewCodeSequence
    ViewModifierCodeSequence TransducerOrientationSequence TransducerBeamSteeringCodeSequence CodeValue
    CodingSchemeDesignator CodingSchemeVersion CodeMeaning MappingResource ContextIdentifier
    PurposeOfReferenceCodeSequence ReferencedSOPClassUID ReferencedFrameNumber
"""
#: Retain Device Identity: K in its column of Table E.1-1, of what an ultrasound device has. Application entity titles
#: (C in that column) go: they can name a place or person.
_DEVICE = """
    DeviceDescription DeviceID DeviceLabel DeviceSerialNumber DeviceUID GantryID GeneratorID
    ManufacturerDeviceClassUID ManufacturerDeviceIdentifier StationName TransducerIdentificationSequence UDISequence
    UniqueDeviceIdentifier
"""
_BIRTH = "PatientBirthDate PatientBirthTime"
#: They say what the whole instance is: elsewhere they could say anything.
_TOP_ONLY = "PixelData PhotometricInterpretation SpecificCharacterSet Modality ImageType"
_MOMENTS = {"DA", "DT", "TM"}


def _tags(keywords: str) -> frozenset[BaseTag]:
    return frozenset(Tag(keyword) for keyword in keywords.split())


def _rows() -> dict[BaseTag, Action]:
    """Table E.1-1 without its repeating groups, which are removed as a whole."""
    lists = {
        Action.REMOVE: table_e1_1.X_TAGS,
        Action.EMPTY: [*table_e1_1.Z_TAGS, *table_e1_1.X_Z_TAGS],
        Action.DUMMY: [
            *table_e1_1.D_TAGS,
            *table_e1_1.Z_D_TAGS,
            *table_e1_1.X_D_TAGS,
            *table_e1_1.X_Z_D_TAGS,
        ],
        # X/Z/U*: sequences that refer to other instances; the UIDs inside of them are replaced.
        Action.UID: [*table_e1_1.U_TAGS, *table_e1_1.X_Z_U_STAR_TAGS],
    }
    return {Tag(*row): action for action, rows in lists.items() for row in rows if len(row) == 2}


_ROWS = _rows()
_KEPT = _tags(_PICTURE + _CINE + _INSTANCE + _ULTRASOUND + _CODES + _DEVICE)
_BORN, _WHOLE = _tags(_BIRTH), _tags(_TOP_ONLY)


@lru_cache(maxsize=8192)
def action(tag: BaseTag, vr: str, *, nested: bool) -> Action:
    """What becomes of an attribute that has this value representation, ``nested`` in a sequence or not. A sequence that
    is kept, or whose UIDs are replaced, is looked into."""
    if (
        not dictionary_has_tag(tag)
        or vr not in dictionary_VR(tag).split(" or ")
        or (nested and tag in _WHOLE)
    ):
        return Action.REMOVE
    if tag in _KEPT:
        return Action.KEEP
    if tag not in _ROWS or (vr == "SQ" and _ROWS[tag] != Action.UID):
        # No sequence that the table lets stay empty has to be there in an ultrasound image, and where it does not have
        # to be there it may not be empty.
        return Action.REMOVE
    if vr in _MOMENTS and tag not in _BORN:
        return Action.SHIFT
    return _ROWS[tag]
