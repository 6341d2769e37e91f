"""Individuals and the encounters in which they were seen."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.db import models

from populations.models.people import Population


def natural_key(code: str) -> str:
    """Return a key that sorts `T9` before `T10`: numbers padded, lower case."""
    return re.sub(r"\d+", lambda m: m.group().zfill(12), code.lower())[:400]


class Individual(models.Model):
    """One catalogued animal; its code is what researchers say."""

    class Sex(models.TextChoices):
        FEMALE = "female", "Female"
        MALE = "male", "Male"
        UNKNOWN = "unknown", "Unknown"

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="individuals"
    )
    code = models.CharField(max_length=100)
    code_sort = models.CharField(max_length=400, editable=False)
    name = models.CharField(max_length=120, blank=True)
    sex = models.CharField(max_length=8, choices=Sex.choices, default=Sex.UNKNOWN)
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["code_sort", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population", "code"], name="individual_code_unique"
            )
        ]

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.code_sort = natural_key(self.code)
        fields = kwargs.get("update_fields")
        if fields and "code" in fields:
            kwargs["update_fields"] = {*fields, "code_sort"}
        super().save(*args, **kwargs)


class IndividualAlias(models.Model):
    """Another code under which the same animal is known."""

    individual = models.ForeignKey(
        Individual, on_delete=models.CASCADE, related_name="aliases"
    )
    code = models.CharField(max_length=100)

    class Meta:
        verbose_name_plural = "individual aliases"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["individual", "code"], name="individual_alias_unique"
            )
        ]

    def __str__(self) -> str:
        return self.code


class Encounter(models.Model):
    """Photographs of one group, one photographer, one day, one bout."""

    class Origin(models.TextChoices):
        IMPORTED = "imported", "Imported with labels"
        ONBOARDED = "onboarded", "Uploaded for identification"

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="encounters"
    )
    name = models.CharField(max_length=200)
    date_on = models.DateField("date", null=True, blank=True)
    place = models.CharField(max_length=200, blank=True)
    photographer = models.CharField(max_length=120, blank=True)
    latitude = models.FloatField(null=True, blank=True, help_text="degrees north")
    longitude = models.FloatField(null=True, blank=True, help_text="degrees east")
    origin = models.CharField(
        max_length=10, choices=Origin.choices, default=Origin.IMPORTED
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-date_on", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population", "name"], name="encounter_name_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name
