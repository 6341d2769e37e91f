"""Filters of the photographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Model

from populations.models import Encounter, Individual, Photo, Population
from populations.models.photos import Tier
from populations.queries.photos import PhotoFilter

TIERS = [
    ("", "Any tier"),
    *((str(tier.value), tier.label) for tier in Tier),
    ("none", "Without detection"),
]


@dataclass(frozen=True, slots=True)
class Chip:
    words: str
    query_without: str


class PhotoFilterForm(forms.Form):
    """The grid's filters; anything unusable in the address counts as not given."""

    tier = forms.ChoiceField(choices=TIERS, required=False)
    reason = forms.ChoiceField(
        choices=[("", "Any reason"), *Photo.TierReason.choices], required=False
    )
    individual = forms.ModelChoiceField(
        Individual.objects.none(), required=False, empty_label="Any individual"
    )
    encounter = forms.ModelChoiceField(
        Encounter.objects.none(), required=False, empty_label="Any encounter"
    )
    unlabelled = forms.BooleanField(required=False, label="Without label")
    q = forms.CharField(required=False, max_length=100, label="File name contains")

    def __init__(self, *args: Any, population: Population, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("individual", "encounter"):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = field.queryset.model.objects.filter(  # type: ignore[union-attr]  # never None
                population=population
            )

    def chosen(self) -> PhotoFilter:
        data = self.usable()
        return PhotoFilter(
            tier=data.get("tier") or "",
            reason=data.get("reason") or "",
            individual=data.get("individual"),
            encounter=data.get("encounter"),
            is_unlabelled=bool(data.get("unlabelled")),
            text=data.get("q") or "",
        )

    def usable(self) -> dict[str, Any]:
        """Return the fields that could be read; `cleaned_data` keeps only those."""
        self.is_valid()
        return self.cleaned_data

    def query(self, without: str = "") -> str:
        """Return the filters as the address's query, less one of them."""
        data = self.usable()
        said = {
            name: value.pk if isinstance(value, Model) else value
            for name, value in data.items()
            if value and name != without
        }
        return urlencode({k: "on" if v is True else v for k, v in said.items()})

    def chips(self) -> list[Chip]:
        """Return each filter in use as words, and the query that drops it."""
        data = self.usable()
        words = {
            "tier": dict(TIERS).get(data.get("tier") or ""),
            "reason": dict(Photo.TierReason.choices).get(data.get("reason") or ""),
            "individual": f"of {data.get('individual')}",
            "encounter": f"in {data.get('encounter')}",
            "unlabelled": "without label",
            "q": f"named “{data.get('q')}”",
        }
        return [
            Chip(str(words[name]), self.query(without=name))
            for name, value in data.items()
            if value
        ]
