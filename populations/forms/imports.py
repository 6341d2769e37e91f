"""Forms of an import: what comes from where, and how its labels are read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from populations.models import ImportBatch, ImportFile
from populations.services.imports import Said, Uploads
from populations.services.tables import COLUMNS

Source = ImportBatch.Source
Labels = ImportBatch.Labels


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    widget = ManyFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = data if isinstance(data, (list, tuple)) else [data]
        return [super(ManyFilesField, self).clean(f, initial) for f in files if f]


class ImportForm(forms.Form):
    source = forms.ChoiceField(
        label="Where the photographs are",
        choices=Source.choices,
        initial=Source.FOLDER,
        widget=forms.RadioSelect,
    )
    photos = ManyFilesField(
        required=False,
        label="Photographs",
        help_text="Choose several at once. To bring whole folders, drag them here or "
        "choose a folder.",
    )
    zip_file = forms.FileField(
        required=False, label="ZIP file", help_text="Folders inside it are looked into."
    )
    server_folder = forms.CharField(
        required=False, max_length=1000, label="Folder on the server"
    )
    labels = forms.ChoiceField(
        label="Who is on them",
        choices=Labels.choices,
        initial=Labels.FOLDERS,
        widget=forms.RadioSelect,
    )
    table = forms.FileField(
        required=False,
        label="CSV file",
        help_text="Columns: filename, individual, and if you have them encounter, date, "
        "side, photographer, latitude, longitude. Leave it empty if the file lies among "
        "the photographs.",
    )
    is_already_cropped = forms.BooleanField(
        required=False,
        label="The photographs are crops already",
        help_text="Each shows one animal, cut out: the whole photograph will be its one "
        "detection.",
    )
    # Sent by the page's script, which brings the files one after the other later.
    is_collecting = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: User, roots: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["server_folder"].help_text = f"Inside {' or '.join(roots)}."
        if not (user.is_staff and roots):
            source = self.fields["source"]
            assert isinstance(source, forms.ChoiceField)
            source.choices = [c for c in Source.choices if c[0] != Source.SERVER]
            del self.fields["server_folder"]

    def said(self) -> Said:
        data = self.cleaned_data
        return Said(
            source=data["source"],
            label_kind=data["labels"],
            server_folder=data.get("server_folder", ""),
            is_already_cropped=data["is_already_cropped"],
            is_collecting=data["is_collecting"],
            uploads=uploads_of(self),
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        source = data.get("source")
        if data.get("is_collecting"):
            return data
        if source == Source.FOLDER and not data.get("photos"):
            self.add_error("photos", "Choose the photographs.")
        if source == Source.ZIP and not data.get("zip_file"):
            self.add_error("zip_file", "Choose the ZIP file.")
        if source == Source.SERVER and not data.get("server_folder"):
            self.add_error("server_folder", "Write the folder's path.")
        return data


class StagedFilesForm(forms.Form):
    """A few files of a folder, each with its path in it, in the same order."""

    photos = ManyFilesField(required=False)
    zip_file = forms.FileField(required=False)
    table = forms.FileField(required=False)

    def said(self) -> Uploads:
        return uploads_of(self)


def uploads_of(form: forms.Form) -> Uploads:
    """Pair each file with its path; without one its bare name serves."""
    data, files = form.cleaned_data, form.cleaned_data["photos"] or []
    given = form.data.getlist("paths") if isinstance(form.data, QueryDict) else []
    named = [
        (given[n] if n < len(given) and given[n] else str(file.name), file)
        for n, file in enumerate(files)
    ]
    return Uploads(files=named, zip_file=data["zip_file"], table=data["table"])


class MappingForm(forms.Form):
    """How the labels are read: by which folder, or by which columns."""

    labels = forms.ChoiceField(
        label="Who is on the photographs", choices=Labels.choices
    )
    level = forms.ChoiceField(
        required=False,
        label="The individual is named by",
        choices=[
            ("top", "the topmost folder that differs"),
            ("parent", "the folder a photograph lies in"),
        ],
    )
    table_name = forms.ChoiceField(required=False, label="Table")

    def __init__(self, *args: Any, batch: ImportBatch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batch = batch
        preview = batch.preview
        tables = [] if preview.get("is_table_staged") else preview.get("tables", [])
        self.fields["table_name"] = forms.ChoiceField(
            required=False, label="Table", choices=[(t, t) for t in tables]
        )
        self.fields["table_name"].initial = batch.csv_name
        self.fields["labels"].initial = batch.labels
        self.fields["level"].initial = batch.mapping.get("level", "top")
        header = [(name, name) for name in preview.get("header", []) if name]
        for column in COLUMNS:
            self.fields[f"column_{column}"] = forms.ChoiceField(
                required=False,
                label=column.capitalize(),
                choices=[("", "–"), *header],
                initial=batch.mapping.get("columns", {}).get(column, ""),
            )

    def column_fields(self) -> list[forms.BoundField]:
        return [self[f"column_{column}"] for column in COLUMNS]

    def apply_to(self, batch: ImportBatch) -> ImportBatch:
        """Write the choice into the row, unsaved."""
        data = self.cleaned_data
        is_same_table = data["table_name"] in ("", batch.csv_name)
        columns = {c: data[f"column_{c}"] for c in COLUMNS if data[f"column_{c}"]}
        batch.labels = data["labels"]
        batch.mapping = {"level": data["level"] or "top"}
        # Another table has other columns: they are guessed anew.
        if columns and is_same_table:
            batch.mapping["columns"] = columns
        if data["table_name"]:
            batch.csv_name = data["table_name"]
        return batch


class OutcomeFilterForm(forms.Form):
    outcome = forms.ChoiceField(
        required=False, choices=[("", "All files"), *ImportFile.Outcome.choices]
    )

    def outcome_chosen(self) -> str:
        return str(self.cleaned_data["outcome"]) if self.is_valid() else ""
