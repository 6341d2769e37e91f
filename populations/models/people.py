"""A population and the people who work on it."""

from __future__ import annotations

import re
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q


def default_categories() -> list[str]:
    return ["dorsal fin"]


def default_sides() -> list[str]:
    return ["left", "right"]


def validate_code_pattern(value: str) -> None:
    try:
        re.compile(value)
    except re.error as err:
        raise ValidationError(f"This is not a usable pattern: {err}.") from err


SHARE = (MinValueValidator(0.0), MaxValueValidator(1.0))


class PopulationQuerySet(models.QuerySet["Population"]):
    def visible_to(self, user: User) -> PopulationQuerySet:
        if user.is_superuser:
            return self
        return self.filter(memberships__user=user)


class Population(models.Model):
    """One study group of one species in one region."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    species_common = models.CharField("species", max_length=120, blank=True)
    species_latin = models.CharField("Latin name", max_length=120, blank=True)
    region = models.CharField(max_length=120, blank=True)
    categories = models.JSONField(default=default_categories)
    sides = models.JSONField(default=default_sides)
    code_pattern = models.CharField(
        max_length=200,
        blank=True,
        validators=[validate_code_pattern],
        help_text="regular expression that an individual's whole code must match",
    )
    detector_confidence = models.FloatField(default=0.15, validators=SHARE)
    nms_iou = models.FloatField(default=0.5, validators=SHARE)
    prominence_threshold = models.FloatField(default=0.7, validators=SHARE)
    dominance_margin = models.FloatField(default=0.05, validators=SHARE)
    snapshot_lifetime_days = models.PositiveIntegerField(default=30)
    default_detector = models.ForeignKey(
        "populations.Detector",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    is_demo = models.BooleanField(
        default=False, help_text="its photographs are rendered by code"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PopulationQuerySet.as_manager()

    # The asking user's role, set by `access`; 0 until then.
    role: int = 0

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="population_thresholds_are_shares",
                condition=Q(detector_confidence__range=(0, 1))
                & Q(nms_iou__range=(0, 1))
                & Q(prominence_threshold__range=(0, 1))
                & Q(dominance_margin__range=(0, 1)),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def can_annotate(self) -> bool:
        return self.role >= Membership.Role.ANNOTATOR

    @property
    def can_train(self) -> bool:
        return self.role >= Membership.Role.TRAINER

    @property
    def can_administer(self) -> bool:
        return self.role >= Membership.Role.ADMINISTRATOR

    def accepts_code(self, code: str) -> bool:
        return not self.code_pattern or bool(re.fullmatch(self.code_pattern, code))


class Membership(models.Model):
    """What one person may do in one population; each role includes the one before."""

    class Role(models.IntegerChoices):
        VIEWER = 1, "Viewer"
        ANNOTATOR = 2, "Annotator"
        TRAINER = 3, "Trainer"
        ADMINISTRATOR = 4, "Administrator"

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.PositiveSmallIntegerField(choices=Role.choices)

    class Meta:
        ordering: ClassVar = ["population", "-role", "user"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population", "user"], name="membership_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} of {self.population}"
