"""WSGI entry: pages without live updates; `finwave.asgi` is what is served."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finwave.settings")
application = get_wsgi_application()
