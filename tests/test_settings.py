from __future__ import annotations

import subprocess
import sys

from django.core.management import call_command


def test_models_have_migrations(db):
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_web_process_imports_no_machine_learning():
    code = (
        "import sys, os;"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'finwave.settings';"
        "import finwave.asgi;"
        "from django.urls import get_resolver;"
        "get_resolver().url_patterns;"
        "import django.contrib.admin;"
        "heavy = {'torch', 'timm', 'onnxruntime', 'torchvision', 'onnx'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
