"""Addresses of detectors, detection runs, crops, thresholds and the report."""

from __future__ import annotations

from django.urls import URLPattern

detection_urls: list[URLPattern] = []
