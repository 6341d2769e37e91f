"""Addresses of detectors, detection runs, crops, thresholds and the report.

All are below `<slug>/`; `populations/urls.py` includes the list there.
"""

from __future__ import annotations

from django.urls import URLPattern

detection_urls: list[URLPattern] = []
