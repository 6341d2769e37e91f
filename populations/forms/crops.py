"""Input about crops: the grid's filters, and whom a crop shows."""

from __future__ import annotations

import difflib
from typing import Any

from django import forms
from django.core.signing import BadSignature, loads

from populations.models import Individual, IndividualAlias, Population
from populations.models.photos import Side, Tier
from populations.queries.crops import CropFilter
from populations.services.decisions import Before

STATES = [("", "Kept"), ("dropped", "Dropped"), ("all", "Kept and dropped")]
ORDERS = [
    ("thin", "Individuals with the fewest crops first"),
    ("code", "By individual"),
    ("new", "Newest first"),
    ("blurred", "Most blurred first"),
    ("small", "Smallest first"),
]
UNDO_SALT = "populations.undo"
UNDO_FOR_S = 24 * 3600


class CropFilterForm(forms.Form):
    """What the grid shows; anything unusable in the address counts as not given."""

    individual = forms.ModelChoiceField(
        Individual.objects.none(), required=False, empty_label="Any individual"
    )
    tier = forms.ChoiceField(
        choices=[("", "Any tier"), *((str(t.value), t.label) for t in Tier)],
        required=False,
    )
    side = forms.ChoiceField(choices=[("", "Any side"), *Side.choices], required=False)
    state = forms.ChoiceField(choices=STATES, required=False)
    order = forms.ChoiceField(choices=ORDERS, required=False)

    def __init__(self, *args: Any, population: Population, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["individual"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = population.individuals.all()

    def chosen(self) -> CropFilter:
        self.is_valid()
        data = self.cleaned_data if self.is_bound else {}
        return CropFilter(
            individual=data.get("individual"),
            tier=data.get("tier") or "",
            side=data.get("side") or "",
            state=data.get("state") or "",
            order=data.get("order") or "thin",
        )

    @property
    def is_restricted(self) -> bool:
        return any(value for key, value in self.data.items() if key in self.fields)


class RelabelForm(forms.Form):
    """Whom, and which side, a crop shows, by the individual's code."""

    code = forms.CharField(
        required=False,
        max_length=100,
        label="Individual",
        help_text="The individual's code; empty takes the name away.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "codes"}),
    )
    side = forms.ChoiceField(choices=Side.choices, required=False)
    is_new = forms.BooleanField(required=False, label="This is a new individual")

    def __init__(self, *args: Any, population: Population, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.population = population
        self.suggestions: list[str] = []

    def clean_side(self) -> str:
        return self.cleaned_data["side"] or Side.UNKNOWN

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        code = data.get("code", "").strip()
        data["individual"] = self.find(code) if code else None
        if code and data["individual"] is None:
            if not data.get("is_new"):
                self.add_error("code", self.unknown(code))
            elif not self.population.accepts_code(code):
                self.add_error(
                    "code",
                    f"{code} does not fit this population's codes "
                    f"({self.population.code_pattern}).",
                )
        return data

    def find(self, code: str) -> Individual | None:
        """Return the individual with this code or alternative code, in any case."""
        individuals = self.population.individuals.all()
        return (
            individuals.filter(code=code).first()
            or individuals.filter(code__iexact=code).first()
            or individuals.filter(aliases__code__iexact=code).first()
        )

    def unknown(self, code: str) -> str:
        known = [
            *self.population.individuals.values_list("code", flat=True),
            *IndividualAlias.objects.filter(
                individual__population=self.population
            ).values_list("code", flat=True),
        ]
        by_lower = {item.lower(): item for item in known}
        near = difflib.get_close_matches(code.lower(), by_lower, n=3, cutoff=0.6)
        self.suggestions = [by_lower[item] for item in near]
        if self.suggestions:
            return (
                f"No individual has the code {code}. Did you mean "
                f"{' or '.join(self.suggestions)}?"
            )
        return f"No individual has the code {code}."


class UndoForm(forms.Form):
    """What a crop was before a decision, signed by us."""

    before = forms.CharField(max_length=4000)

    def clean_before(self) -> Before:
        try:
            state: Before = loads(
                self.cleaned_data["before"], salt=UNDO_SALT, max_age=UNDO_FOR_S
            )
        except BadSignature as error:
            raise forms.ValidationError(
                "This decision is too old to be undone from here."
            ) from error
        return state
