"""What the address of the list of jobs may say."""

from __future__ import annotations

from django import forms


class JobListForm(forms.Form):
    scope = forms.IntegerField(min_value=1)
