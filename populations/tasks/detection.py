"""Job handlers of detection: check a detector, detect on photos, cut crops.

They load the row and call its service; each may be called again after a kill.
"""

from __future__ import annotations

from finwave.jobs.running import JobRun
from populations.models import DetectionRun, Population
from populations.services import crops, detectors, tiers
from populations.services.detection import detect_photos


def run_detector_check(run: JobRun) -> None:
    detectors.check_job(run)


def run_detection(run: JobRun) -> None:
    detection_run = (
        DetectionRun.objects.select_related("population", "detector")
        .filter(pk=run.subject_id)
        .first()
    )
    if detection_run is None:
        return
    run.begin(n_total=len(detection_run.photo_ids))
    detect_photos(run, detection_run)


def run_retier(run: JobRun) -> None:
    """Cut the crops that a change of thresholds made necessary."""
    population = Population.objects.filter(pk=run.subject_id).first()
    if population is None:
        return
    missing = list(tiers.missing_crops(population))
    run.begin(n_total=len(missing))
    crops.cut_missing(missing, run)
