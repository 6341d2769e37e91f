from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.contrib.auth.models import User


class FirstAdministratorForm(BaseUserCreationForm[User]):
    email = forms.EmailField(
        required=False, help_text="Only used to reset a forgotten password."
    )
    code = forms.CharField(
        label="One-time code",
        max_length=64,
        help_text="Printed in the window in which finwave was started.",
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "spellcheck": "false",
                "autocapitalize": "off",
            }
        ),
    )

    class Meta:
        model = User
        fields = ("username", "email")

    field_order = ("code", "username", "email", "password1", "password2")

    def __init__(self, *args: Any, needs_code: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].help_text = ""
        self.fields["username"].widget.attrs["autocomplete"] = "username"
        if not needs_code:
            del self.fields["code"]
