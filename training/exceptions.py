"""What can go wrong before a training job starts, each a sentence for the user."""

from __future__ import annotations


class TrainingRefused(Exception):
    """The job or the training set cannot be made; the message says what to do."""
