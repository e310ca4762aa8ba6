"""The patients of the demonstration: four real hospitals, or a set that is always there."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.data import breast_cancer, heart_disease
from protocol.data.schema import DataSchema
from protocol.data.splits import HospitalRecords
from protocol.errors import DataUnavailable
from protocol.templates import Template

__all__ = ["DemoData", "HospitalRecords"]


@dataclass(frozen=True)
class DemoData:
    """Records by hospital, their schema and the job template. ``note`` says why it is not the first choice."""

    name: str
    title: str
    hospitals: list[HospitalRecords]
    schema: DataSchema
    template: Template
    note: str = ""

    @classmethod
    def find(cls) -> DemoData:
        """UCI Heart Disease (Cleveland, Hungary, Switzerland, Long Beach VA), as in FLamby's Fed-Heart-Disease; when it
        cannot be had, the Wisconsin breast cancer set of scikit-learn, split over four hospitals."""
        try:
            hospitals = heart_disease.load()
        except DataUnavailable as missing:
            return cls(
                "breast-cancer",
                "Wisconsin breast cancer, split over four hospitals",
                breast_cancer.load(),
                breast_cancer.schema(),
                Template.load("breast-cancer"),
                note=f"The four-hospital heart disease set cannot be had: {missing} Using the Wisconsin set instead.",
            )
        return cls(
            "heart-disease",
            "UCI Heart Disease, four real hospitals",
            hospitals,
            heart_disease.schema(),
            Template.load("heart-disease"),
        )
