"""All input of this app's pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

from populations.models import Encounter, Population
from snapshots.models import Snapshot
from snapshots.services.onboarding import EncounterDetails


class TimelineForm(forms.Form):
    """Which page of the timeline, and which node's card is open."""

    page = forms.CharField(required=False)
    snapshot = forms.IntegerField(required=False)


class SnapshotNameForm(forms.Form):
    name = forms.CharField(max_length=120, strip=True)


class SnapshotNotesForm(forms.Form):
    notes = forms.CharField(
        max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )


class SnapshotDeleteForm(forms.Form):
    """The name must be typed: a deleted snapshot is gone for good."""

    name = forms.CharField(label="Name of the snapshot", max_length=120)

    def __init__(self, *args: Any, snapshot: Snapshot, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.snapshot = snapshot

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name != self.snapshot.name:
            raise ValidationError("This is not the name of the snapshot.")
        return name


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Any number of files."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            widget=ManyFilesInput(attrs={"accept": "image/*,.tif,.tiff"}), **kwargs
        )

    def clean(self, data: object, initial: object = None) -> Any:
        files = data if isinstance(data, list | tuple) else [data] if data else []
        if not files and self.required:
            raise ValidationError(self.error_messages["required"], code="required")
        return [super(ManyFilesField, self).clean(file, initial) for file in files]


class EncounterForm(forms.Form):
    """An encounter and its photographs, uploaded to be identified."""

    name = forms.CharField(
        max_length=200,
        required=False,
        help_text="Left empty, it is made of date and place.",
    )
    date_on = forms.DateField(
        label="Date",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    place = forms.CharField(max_length=200, required=False)
    photographer = forms.CharField(max_length=120, required=False)
    photos = ManyFilesField(
        label="Photographs",
        required=False,
        help_text="JPEG, PNG, TIFF or WebP; choose as many as you like.",
    )
    is_already_cropped = forms.BooleanField(
        label="Each photograph shows one animal, cut out already",
        required=False,
    )

    def __init__(
        self,
        *args: Any,
        population: Population,
        rendered: list[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.population = population
        if rendered:
            self.fields["rendered"] = forms.ChoiceField(
                label="Rendered encounter",
                required=False,
                choices=[("", "None: use my photographs"), *rendered],
                help_text="This population's photographs are rendered by code; "
                "these were kept back for trying out identification.",
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("photos") and not cleaned.get("rendered"):
            self.add_error("photos", "Choose at least one photograph.")
        cleaned["name"] = self._name(cleaned)
        return cleaned

    def _name(self, cleaned: dict[str, Any]) -> str:
        given = str(cleaned.get("name") or "").strip()
        taken = Encounter.objects.filter(population=self.population)
        if given:
            if taken.filter(name=given).exists():
                self.add_error("name", "Another encounter has this name already.")
            return given
        parts = (
            cleaned.get("rendered"),
            cleaned.get("date_on"),
            cleaned.get("place"),
        )
        base = " ".join(str(part) for part in parts if part) or "Encounter"
        name, n = base[:190], 1
        while taken.filter(name=name).exists():
            n += 1
            name = f"{base[:190]} ({n})"
        return name

    @property
    def details(self) -> EncounterDetails:
        return {
            "name": self.cleaned_data["name"],
            "date_on": self.cleaned_data["date_on"],
            "place": self.cleaned_data["place"],
            "photographer": self.cleaned_data["photographer"],
            "is_already_cropped": self.cleaned_data["is_already_cropped"],
        }

    @property
    def uploads(self) -> list[UploadedFile]:
        return list(self.cleaned_data.get("photos") or [])


class AnimalForm(forms.Form):
    """Which animal of the review is open, and a code that was mistyped."""

    animal = forms.IntegerField(required=False)
    code = forms.CharField(required=False, max_length=100)
    done = forms.IntegerField(required=False)


class CodeForm(forms.Form):
    code = forms.CharField(max_length=100, strip=True)


class RankForm(forms.Form):
    rank = forms.IntegerField(min_value=1)


class CropForm(forms.Form):
    crop = forms.IntegerField()


class OtherAnimalForm(forms.Form):
    animal = forms.IntegerField()
