"""Bringing photographs in: one batch, and the outcome of each of its files."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from finwave.jobs.models import Job
from populations.models.people import Population


class ImportBatch(models.Model):
    """One import: files are staged, previewed, then written by a job."""

    class Source(models.TextChoices):
        FOLDER = "folder", "Folder or files from this computer"
        ZIP = "zip", "ZIP file"
        SERVER = "server", "Folder on the server"

    class Labels(models.TextChoices):
        FOLDERS = "folders", "One folder per individual"
        CSV = "csv", "A CSV file"
        NONE = "none", "No labels"

    class Status(models.TextChoices):
        STAGING = "staging", "Collecting files"
        PREVIEW = "preview", "Waiting for the start"
        STARTED = "started", "Started"

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="import_batches"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    source = models.CharField(max_length=8, choices=Source.choices)
    labels = models.CharField(max_length=8, choices=Labels.choices)
    status = models.CharField(
        max_length=8, choices=Status.choices, default=Status.STAGING
    )
    server_folder = models.CharField(max_length=1000, blank=True)
    csv_name = models.CharField(max_length=400, blank=True)
    is_already_cropped = models.BooleanField(
        default=False, help_text="each photo shows one animal, cut out"
    )
    # How the labels are read: {"columns": {"filename": "file", …}, "level": "top"}
    mapping = models.JSONField(default=dict, blank=True)
    # What the preview found: counts, first rows, problems by file and row.
    preview = models.JSONField(default=dict, blank=True)
    job = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name_plural = "import batches"

    def __str__(self) -> str:
        return f"Import {self.pk}"


class ImportFile(models.Model):
    """One file of a batch, what was said about it, and what became of it."""

    class Outcome(models.TextChoices):
        WAITING = "waiting", "Waiting"
        IMPORTED = "imported", "Imported"
        DUPLICATE = "duplicate", "Already here"
        REFUSED = "refused", "Refused"

    batch = models.ForeignKey(
        ImportBatch, on_delete=models.CASCADE, related_name="files"
    )
    path = models.CharField(max_length=1000, help_text="relative to the batch's folder")
    # From the mapping: {"labels": [{"code": "", "side": ""}], "encounter": "", "date": "",
    # "photographer": "", "latitude": null, "longitude": null}
    row = models.JSONField(default=dict, blank=True)
    outcome = models.CharField(
        max_length=9, choices=Outcome.choices, default=Outcome.WAITING
    )
    reason = models.CharField(max_length=500, blank=True)
    photo = models.ForeignKey(
        "populations.Photo",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="import_files",
    )

    class Meta:
        ordering: ClassVar = ["path"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["batch", "path"], name="import_file_path_unique"
            )
        ]

    def __str__(self) -> str:
        return self.path
