"""Input of training: sets and jobs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django import forms

from finwave.ml.config import (
    MIXED_PRECISIONS,
    OPTIMIZERS,
    POOLINGS,
    PRESETS,
    SCHEDULES,
    ConfigError,
    TrainConfig,
)
from populations.models import Population
from snapshots.models import Snapshot, TrainedModel
from training.labels import LABELS
from training.models import TrainingSet

CHOICES = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "pooling": POOLINGS,
    "mixed_precision": MIXED_PRECISIONS,
}

# Shown without unfolding.
MAIN_FIELDS = ("epochs", "batch_size", "learning_rate", "architecture")


class TrainingSetForm(forms.Form):
    name = forms.CharField(
        max_length=120,
        help_text="For you to find it again, e.g. Spring 2024, both sides.",
    )
    min_crops = forms.IntegerField(
        label="Fewest crops of an individual",
        min_value=1,
        max_value=100,
        initial=2,
        help_text="Individuals with fewer crops stay out.",
    )

    def __init__(self, *args: Any, population: Population, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.population = population

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if TrainingSet.objects.filter(population=self.population, name=name).exists():
            raise forms.ValidationError("There is a training set of that name already.")
        return name


class TrainingJobForm(forms.Form):
    """What to train on, from what, and the whole of `TrainConfig`."""

    training_set = forms.ModelChoiceField(
        TrainingSet.objects.none(),
        empty_label="A new one, from today's crops",
        required=False,
        help_text="A frozen list of crops: the same set can be trained on again.",
    )
    min_crops = forms.IntegerField(
        label="Fewest crops of an individual",
        min_value=1,
        max_value=100,
        initial=2,
        help_text="For a new training set: individuals with fewer crops stay out.",
    )
    model_name = forms.CharField(
        label="Name of the model",
        max_length=120,
        required=False,
        help_text="Its timeline will carry this name.",
    )
    from_snapshot = forms.ModelChoiceField(
        Snapshot.objects.none(),
        label="Start from",
        required=False,
        empty_label="Pretrained weights",
        help_text="A snapshot carries on what it has learnt.",
    )
    continue_model = forms.BooleanField(
        label="Continue that snapshot's model",
        required=False,
        help_text="On the same timeline; otherwise a new model is made.",
    )

    def __init__(
        self,
        *args: Any,
        population: Population,
        preset: str = "laptop",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.population = population
        self._field("training_set").queryset = TrainingSet.objects.filter(
            population=population
        )
        self._field("from_snapshot").queryset = (
            Snapshot.objects.for_population(population)
            .filter(model__task=TrainedModel.Task.IDENTIFICATION)
            .select_related("model")
        )
        self._field("from_snapshot").label_from_instance = lambda snapshot: (
            f"{snapshot.model.name}: {snapshot.name}"
        )
        start = PRESETS.get(preset, PRESETS["laptop"]).to_json()
        for field in fields(TrainConfig):
            self.fields[field.name] = config_field(field.name, start[field.name])

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in MAIN_FIELDS]

    def other_fields(self) -> list[forms.BoundField]:
        return [
            self[field.name]
            for field in fields(TrainConfig)
            if field.name not in MAIN_FIELDS
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("continue_model") and not cleaned.get("model_name"):
            self.add_error("model_name", "Give the new model a name.")
        if cleaned.get("continue_model") and not cleaned.get("from_snapshot"):
            self.add_error("from_snapshot", "Choose the snapshot to continue from.")
        if not self.errors:
            try:
                self.config = TrainConfig.from_json(
                    {field.name: cleaned[field.name] for field in fields(TrainConfig)}
                )
            except ConfigError as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned


def config_field(name: str, initial: Any) -> forms.Field:
    """Return the form field of one field of `TrainConfig`."""
    label, help_text = LABELS[name]
    common: dict[str, Any] = {
        "label": label,
        "help_text": help_text,
        "initial": initial,
    }
    if name in CHOICES:
        return forms.ChoiceField(choices=[(c, c) for c in CHOICES[name]], **common)
    if name == "architecture":
        text = forms.TextInput(attrs={"list": "architectures"})
        return forms.CharField(max_length=120, widget=text, **common)
    if isinstance(initial, bool):
        return forms.BooleanField(required=False, **common)
    if isinstance(initial, int):
        return forms.IntegerField(**common)
    number = forms.NumberInput(attrs={"step": "any"})
    return forms.FloatField(widget=number, **common)
