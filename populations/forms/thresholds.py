"""Input of the threshold page."""

from __future__ import annotations

from typing import Any

from django import forms

from populations.models import Population


def slider(label: str, help_text: str, step: str, highest: str) -> forms.FloatField:
    return forms.FloatField(
        label=label,
        help_text=help_text,
        min_value=0,
        max_value=float(highest),
        widget=forms.NumberInput(
            attrs={"type": "range", "step": step, "min": "0", "max": highest}
        ),
    )


class ThresholdForm(forms.Form):
    """Both thresholds; what is missing or unusable in an address is as it stands."""

    threshold = slider(
        "Prominence",
        "Of several detections, the top one must exceed this to be kept.",
        step="0.01",
        highest="1",
    )
    margin = slider(
        "Dominance margin",
        "A runner-up as near as this means that none is clearly dominant.",
        step="0.005",
        highest="0.5",
    )

    def __init__(self, data: Any = None, *, population: Population) -> None:
        now = {
            "threshold": population.prominence_threshold,
            "margin": population.dominance_margin,
        }
        super().__init__(data or None, initial=now)
        self.now = now

    def tried(self) -> tuple[float, float]:
        """Return threshold and margin to try, whatever the address says."""
        self.is_valid()
        data = getattr(self, "cleaned_data", {})
        return (
            data.get("threshold", self.now["threshold"]),
            data.get("margin", self.now["margin"]),
        )
