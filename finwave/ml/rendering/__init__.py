"""Rendered sea scenes with known fins: for the demo, for tests, for the bundled detector.

Reading order: `conditions`, `sea`, `fins`, `distractors`, `scenes`, `survey`.
Everything is drawn by NumPy and Pillow from a seed: same seed, same pixels.
"""
