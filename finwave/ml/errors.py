"""Failures with a sentence for the person who started the work."""

from __future__ import annotations


class TrainingError(Exception):
    """Training cannot go on; the message says why and what to do."""


class ExportError(Exception):
    """An export does not open, or does not agree with the network it is from."""
