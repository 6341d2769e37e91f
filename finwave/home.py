"""Where things lie under the home folder: one function a place."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def home() -> Path:
    return Path(settings.FINWAVE_HOME)


def population_folder(population_id: int) -> Path:
    return home() / "populations" / str(population_id)


def training_data_folder(population_id: int) -> Path:
    return population_folder(population_id) / "training-data"


def job_folder(job_id: int) -> Path:
    return home() / "jobs" / str(job_id)


def objects_folder() -> Path:
    return home() / "objects"


def staging_folder(import_id: int) -> Path:
    return home() / "staging" / str(import_id)
