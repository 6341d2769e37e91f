"""Who and what: populations, people, photographs, detections, individuals."""

from __future__ import annotations

from populations.models.annotations import Annotation, Sighting
from populations.models.catalogue import Encounter, Individual, IndividualAlias
from populations.models.detections import Detection, DetectionRun, Detector
from populations.models.imports import ImportBatch, ImportFile
from populations.models.people import Membership, Population
from populations.models.photos import Photo, PhotoLabel

__all__ = [
    "Annotation",
    "Detection",
    "DetectionRun",
    "Detector",
    "Encounter",
    "ImportBatch",
    "ImportFile",
    "Individual",
    "IndividualAlias",
    "Membership",
    "Photo",
    "PhotoLabel",
    "Population",
    "Sighting",
]
