"""Input of detectors and detection runs."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import QuerySet

from populations.models import (
    Detector,
    Encounter,
    ImportBatch,
    Photo,
    Population,
)


class DetectorForm(forms.Form):
    name = forms.CharField(
        max_length=120,
        required=False,
        help_text="Without a name the file's is taken.",
    )
    file = forms.FileField(
        label="Model file",
        help_text="A YOLOv8-layout ONNX file, at most 300 MB.",
        widget=forms.ClearableFileInput(attrs={"accept": ".onnx"}),
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if PurePath(file.name).suffix.lower() != ".onnx":
            raise forms.ValidationError(
                f"{file.name} is not an ONNX file. Export the model as .onnx first."
            )
        return file

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("name") and data.get("file"):
            data["name"] = PurePath(data["file"].name).stem[:120]
        return data


class DetectionRunForm(forms.Form):
    """What to look at, and with what."""

    CHOICES = (
        ("new", "Photos that no detector has looked at yet"),
        ("all", "All photos"),
        ("import", "The photos of one import"),
        ("encounter", "The photos of one encounter"),
        ("failed", "Photos that could not be read last time"),
        ("ids", "Chosen photos"),
    )

    which = forms.ChoiceField(
        label="Which", choices=CHOICES, widget=forms.RadioSelect, initial="new"
    )
    import_batch = forms.ModelChoiceField(
        ImportBatch.objects.none(), required=False, label="Import"
    )
    encounter = forms.ModelChoiceField(Encounter.objects.none(), required=False)
    ids = forms.CharField(required=False, widget=forms.HiddenInput)
    is_already_cropped = forms.BooleanField(
        required=False,
        label="The photos are crops already",
        help_text="Nothing is detected: the whole photo is taken as the animal.",
    )
    detector = forms.ModelChoiceField(
        Detector.objects.none(), required=False, empty_label=None
    )
    confidence = forms.FloatField(
        validators=[MinValueValidator(0.01), MaxValueValidator(0.99)],
        help_text="Boxes below this confidence are not kept. 0.15 is usual: tiers "
        "sort out what is too much.",
        widget=forms.NumberInput(attrs={"step": "0.01", "min": "0.01", "max": "0.99"}),
    )
    classes = forms.CharField(
        required=False,
        max_length=500,
        label="Classes that count",
        help_text="Names of the detector's classes with commas between; "
        "empty means any.",
    )

    def __init__(self, *args: Any, population: Population, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.population = population
        self.choose_from("import_batch", population.import_batches.all())
        self.choose_from("encounter", population.encounters.all())
        self.choose_from(
            "detector",
            Detector.objects.usable_in(population).filter(status=Detector.Status.READY),
        )
        self.fields["confidence"].initial = population.detector_confidence

    def choose_from(self, name: str, rows: QuerySet[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = rows

    def clean_ids(self) -> list[int]:
        parts = self.cleaned_data["ids"].replace(",", " ").split()
        if not all(part.isdigit() for part in parts):
            raise forms.ValidationError("The chosen photos could not be understood.")
        return [int(part) for part in parts]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        needed = {"import": "import_batch", "encounter": "encounter"}.get(
            data.get("which", "")
        )
        if needed and not data.get(needed) and needed not in self.errors:
            self.add_error(needed, "Choose which one.")
        if data.get("which") == "ids" and data.get("ids") == []:
            self.add_error("which", "No photos were chosen.")
        if not data.get("is_already_cropped") and not data.get("detector"):
            self.add_error("detector", "Choose a detector that is ready.")
        self.clean_classes_of(data)
        return data

    def clean_classes_of(self, data: dict[str, Any]) -> None:
        """Turn the names of classes into the detector's numbers."""
        detector = data.get("detector")
        names = [n.strip() for n in data.get("classes", "").split(",") if n.strip()]
        data["class_ids"] = []
        if not names or detector is None or data.get("is_already_cropped"):
            return
        numbers = {
            name.lower(): int(number) for number, name in detector.classes.items()
        }
        unknown = [name for name in names if name.lower() not in numbers]
        if unknown:
            self.add_error(
                "classes",
                f"{detector.name} has no class {', '.join(unknown)}. It has: "
                f"{', '.join(list(detector.classes.values())[:20])}.",
            )
        else:
            data["class_ids"] = [numbers[name.lower()] for name in names]

    def photos(self) -> QuerySet[Photo]:
        """Return the photos of the choice."""
        photos = self.population.photos.all()
        data = self.cleaned_data
        which = data["which"]
        if which == "new":
            return photos.filter(tier__isnull=True)
        if which == "import":
            return photos.filter(import_batch=data["import_batch"])
        if which == "encounter":
            return photos.filter(encounter=data["encounter"])
        if which == "failed":
            return photos.filter(tier_reason=Photo.TierReason.UNREADABLE)
        if which == "ids":
            return photos.filter(pk__in=data["ids"])
        return photos


class RescueForm(forms.Form):
    """Which box of a photo shows the labelled animal, and which animal."""

    detection = forms.IntegerField(min_value=1)
    individual = forms.IntegerField(min_value=1, required=False)
