"""Reading loss curves in plain words, with the rule that was used."""

from __future__ import annotations

from dataclasses import dataclass

MIN_EPOCHS = 3
WINDOW = 3
# A change smaller than this share of the loss counts as none.
FLAT = 0.02


@dataclass(frozen=True, slots=True)
class Reading:
    """What the curves say: `verdict` for the style, a sentence, and the rule."""

    verdict: str
    sentence: str
    rule: str


def read_curves(train: list[float], val: list[float | None]) -> Reading:
    """Judge the curves up to now.

    Args:
        train: training loss of each epoch, in order.
        val: validation loss of each epoch; None where it was not measured.

    Rules, first that holds: fewer than three epochs is too early; a training loss
    that is over twice its best is diverging; a validation loss more than 2 % above
    its best of three epochs ago or longer, while the training loss fell since, is
    overfitting; a change under 2 % over three epochs is flattening; else improving,
    or worsening where both losses rise.
    """
    if len(train) < MIN_EPOCHS:
        return Reading(
            "early",
            "Too early to say: after three epochs the curves can be read.",
            f"fewer than {MIN_EPOCHS} epochs",
        )
    if train[-1] > 2 * min(train):
        return Reading(
            "diverging",
            "Diverging: the training loss is rising again. Stop, and start anew with a "
            "smaller learning rate.",
            "training loss over twice its best",
        )
    measured = [value for value in val if value is not None]
    train_change = _change(train)
    if len(measured) < MIN_EPOCHS:
        if abs(train_change) < FLAT:
            return Reading(
                "flattening",
                "Flattening: the training loss hardly changes any more.",
                "training loss within 2 % over three epochs",
            )
        return Reading(
            "improving",
            "The training loss falls; there is no validation loss to compare it with.",
            "training loss falling over three epochs",
        )
    val_change = _change(measured)
    best = measured.index(min(measured))
    is_past_best = len(measured) - best >= WINDOW
    if (
        is_past_best
        and measured[-1] > (1 + FLAT) * measured[best]
        and (train[-1] < train[best])
    ):
        return Reading(
            "overfitting",
            "Overfitting: the validation loss has risen since its best while the "
            "training loss falls. The best epoch is kept; more epochs are unlikely to "
            "help.",
            "validation loss over 2 % above its best, training loss down since",
        )
    if abs(val_change) < FLAT:
        return Reading(
            "flattening",
            "Flattening: the validation loss hardly changes any more. Stopping now "
            "would lose little.",
            "validation loss within 2 % over three epochs",
        )
    if val_change > 0:
        return Reading(
            "worsening",
            "Both losses are rising. If this goes on, stop and use a smaller learning "
            "rate.",
            "validation loss up over 2 % in three epochs, training loss not falling",
        )
    return Reading(
        "improving",
        "Improving: the validation loss is still falling.",
        "validation loss down over 2 % in three epochs",
    )


def _change(values: list[float]) -> float:
    """Return the relative change from the epoch three back to the last one."""
    before, now = values[-WINDOW], values[-1]
    return (now - before) / max(abs(before), 1e-9)
