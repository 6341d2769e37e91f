"""WebSocket routes of jobs."""

from __future__ import annotations

websocket_urlpatterns: list[object] = []
