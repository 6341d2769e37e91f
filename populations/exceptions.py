"""What can go wrong here, each a sentence for the user."""

from __future__ import annotations


class PopulationsError(Exception):
    """The message says what happened and what to do."""


class LastAdministrator(PopulationsError):
    """A population without an administrator could not be managed by anyone."""


class PhotoRefused(PopulationsError):
    """The file is not a photo that can be stored."""


class ImportRefused(PopulationsError):
    """The batch as a whole cannot be read or started."""


class DetectorRefused(PopulationsError):
    """The uploaded file is no detector that can be used here."""


class DetectorInUse(PopulationsError):
    """Detection runs or a population still refer to the detector."""


class NothingToDetect(PopulationsError):
    """A detection run without a photo or without a detector that is ready."""


class NotRescuable(PopulationsError):
    """The box cannot become the annotation of the photo's labelled animal."""


class DecisionRefused(PopulationsError):
    """What somebody decided about a crop contradicts something else."""
