"""The bundled fin detector: how it is built and taught.

Reading order: `model`, `assignment`, `data`, `train`. To run a detector, bundled or
not, `finwave.ml.detector` needs none of this.
"""
