"""Forms of encounters and individuals."""

from __future__ import annotations

from typing import ClassVar

from django import forms

from populations.models import Individual


class SearchForm(forms.Form):
    q = forms.CharField(required=False, max_length=100, label="Search")

    def text(self) -> str:
        return str(self.cleaned_data["q"]) if self.is_valid() else ""


class IndividualForm(forms.ModelForm[Individual]):
    class Meta:
        model = Individual
        fields: ClassVar = ["name", "sex", "notes"]
        widgets: ClassVar = {"notes": forms.Textarea(attrs={"rows": 6})}
