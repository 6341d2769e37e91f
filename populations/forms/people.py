"""Forms of populations and members."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.models import User

from populations.models import Detector, Membership, Population
from populations.models.people import default_categories, default_sides
from populations.models.photos import Side
from populations.validators import validate_quick_pattern

PATTERN_HELP = (
    "Leave it empty to accept every code. Otherwise write what a whole code looks "
    "like: \\d stands for one digit, {3} for “three times”, [A-Z] for one capital, "
    "? for “maybe”. “T\\d{3}[A-Z]?” accepts T049 and T049A, and refuses 49."
)
MAX_PATTERN_EXAMPLES = 12


class CategoriesField(forms.CharField):
    """A list of words, written one after the other with commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        words = [word.strip() for word in (value or "").split(",")]
        return list(dict.fromkeys(word[:60] for word in words if word))


class PopulationForm(forms.ModelForm[Population]):
    categories = CategoriesField(
        label="Markers looked for",
        initial=default_categories,
        help_text="Separated by commas: dorsal fin, fluke, eye patch, face, body …",
    )
    sides = forms.MultipleChoiceField(
        label="Sides",
        required=False,
        initial=default_sides,
        widget=forms.CheckboxSelectMultiple,
        choices=[(s.value, s.label) for s in Side if s != Side.UNKNOWN],
        help_text="The sides an animal is photographed from that look different.",
    )

    class Meta:
        model = Population
        fields: ClassVar = [
            "name",
            "species_common",
            "species_latin",
            "region",
            "categories",
            "sides",
            "code_pattern",
        ]
        labels: ClassVar = {"code_pattern": "Pattern of the codes"}
        help_texts: ClassVar = {
            "name": "What your team calls it, for example “Bottlenose of the firth”.",
            "code_pattern": PATTERN_HELP,
        }

    def clean_code_pattern(self) -> str:
        pattern: str = self.cleaned_data["code_pattern"]
        validate_quick_pattern(pattern)
        return pattern

    def clean_name(self) -> str:
        name: str = " ".join(self.cleaned_data["name"].split())
        same = Population.objects.filter(name__iexact=name).exclude(pk=self.instance.pk)
        if same.exists():
            raise forms.ValidationError(
                f"There is already a population called “{name}”. Choose another name."
            )
        return name


class PopulationSettingsForm(PopulationForm):
    class Meta(PopulationForm.Meta):
        fields: ClassVar = [
            *PopulationForm.Meta.fields,
            "default_detector",
            "detector_confidence",
            "nms_iou",
            "prominence_threshold",
            "dominance_margin",
            "snapshot_lifetime_days",
        ]
        labels: ClassVar = {
            **PopulationForm.Meta.labels,
            "nms_iou": "Overlap at which two boxes are one",
            "detector_confidence": "Smallest confidence of a detection",
            "snapshot_lifetime_days": "Days a temporary snapshot is kept",
        }
        help_texts: ClassVar = {
            **PopulationForm.Meta.help_texts,
            "detector_confidence": "Between 0 and 1; used by new detection runs.",
            "nms_iou": "Between 0 and 1: intersection over union.",
            "prominence_threshold": "Between 0 and 1. Saving sorts the photographs into "
            "tiers again; the page “Thresholds” shows beforehand what would change.",
            "dominance_margin": "How far the runner-up must stay behind, 0 to 1.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        detectors = Detector.objects.usable_in(self.instance).filter(
            status=Detector.Status.READY
        )
        field = self.fields["default_detector"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = detectors
        field.empty_label = "None chosen"

    def clean_snapshot_lifetime_days(self) -> int:
        days: int = self.cleaned_data["snapshot_lifetime_days"]
        if days < 1:
            raise forms.ValidationError("A snapshot is kept for one day at least.")
        return days


class CodeCheckForm(forms.Form):
    """A pattern and some codes to try it on."""

    code_pattern = forms.CharField(required=False, max_length=200)
    examples = forms.CharField(required=False, max_length=400)

    def clean_code_pattern(self) -> str:
        pattern: str = self.cleaned_data["code_pattern"]
        validate_quick_pattern(pattern)
        try:
            re.compile(pattern)
        except re.error as error:
            raise forms.ValidationError(
                f"This is not a usable pattern: {error}."
            ) from error
        return pattern

    def checked(self) -> list[tuple[str, bool]]:
        """Return each example with whether the pattern accepts it."""
        pattern = Population(code_pattern=self.cleaned_data["code_pattern"])
        codes = self.cleaned_data["examples"].replace(",", " ").split()
        return [(c, pattern.accepts_code(c)) for c in codes[:MAX_PATTERN_EXAMPLES]]


class MemberForm(forms.Form):
    username = forms.CharField(
        max_length=150, help_text="The name the person signs in with."
    )
    role = forms.TypedChoiceField(
        choices=Membership.Role.choices,
        coerce=int,
        initial=Membership.Role.ANNOTATOR,
        help_text="Each role may do all that the one before may.",
    )

    def clean_username(self) -> User:
        username: str = self.cleaned_data["username"]
        user = User.objects.filter(username__iexact=username, is_active=True).first()
        if user is None:
            raise forms.ValidationError(
                f"Nobody signs in as “{username}”. Ask a member of staff to create the "
                "account first."
            )
        return user


class RoleForm(forms.Form):
    role = forms.TypedChoiceField(choices=Membership.Role.choices, coerce=int)


class TypedNameForm(forms.Form):
    """The name of what is to be deleted, typed by hand."""

    name = forms.CharField(label="Name of the population")

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name != self.expected:
            raise forms.ValidationError(
                f"Type the name exactly as it is written: “{self.expected}”."
            )
        return name
