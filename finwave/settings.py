"""Settings of finwave: one file, every variable read through `finwave.env`."""

from __future__ import annotations

import os
from pathlib import Path

import django_stubs_ext
from csp.constants import NONE, SELF

from finwave.env import env_bool, env_int, env_list, env_path, env_secret, env_str

# Lets `ModelForm[Individual]` and the like be written, which only types need.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

# Home ------------------------------------------------------------------------
# One folder holds everything that finwave writes: database, photographs, crops,
# snapshots, job folders, secrets.

FINWAVE_HOME = env_path("FINWAVE_HOME", Path("~/.finwave"))
FINWAVE_HOME.mkdir(parents=True, exist_ok=True)
# A folder searched first for pretrained weights (see docs/architecture.md).
FINWAVE_WEIGHTS = env_path("FINWAVE_WEIGHTS", FINWAVE_HOME / "weights")
# Folders on this machine from which staff may import without uploading.
FINWAVE_IMPORT_ROOTS = [
    Path(root).expanduser().absolute() for root in env_list("FINWAVE_IMPORT_ROOTS", [])
]
# Processes of the cpu queue; each uses one core.
FINWAVE_CPU_WORKERS = env_int("FINWAVE_CPU_WORKERS", os.cpu_count() or 1)

# Core ------------------------------------------------------------------------

SECRET_KEY = env_secret("FINWAVE_SECRET_KEY", FINWAVE_HOME / "secret_key")
DEBUG = env_bool("FINWAVE_DEBUG", False)
ALLOWED_HOSTS = env_list("FINWAVE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_list("FINWAVE_CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "daphne",  # first: makes runserver speak ASGI
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "axes",
    "csp",
    "channels",
    "django_htmx",
    "django_q",
    "template_partials",
    "finwave",
    "finwave.accounts",
    "finwave.jobs",
    "populations",
    "snapshots",
    "training",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "finwave.accounts.middleware.FirstAdministratorMiddleware",
    "axes.middleware.AxesMiddleware",  # last, as its documentation asks
]

ROOT_URLCONF = "finwave.urls"
ASGI_APPLICATION = "finwave.asgi.application"
WSGI_APPLICATION = "finwave.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "populations.context_processors.navigation",
            ],
            "builtins": [
                "finwave.templatetags.finwave",
                "template_partials.templatetags.partials",
            ],
        },
    },
]

# Database --------------------------------------------------------------------

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FINWAVE_HOME / "finwave.sqlite3",
        "OPTIONS": {
            # Without IMMEDIATE a read followed by a write fails at once with
            # "database is locked", whatever the timeout: measured, 13 of 400
            # concurrent tasks survived; with it, all did.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                "PRAGMA foreign_keys=ON; PRAGMA cache_size=-16000;"
            ),
        },
        "TEST": {
            # A file, because other processes of the tests must see it too.
            "NAME": FINWAVE_HOME / "test.sqlite3",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Queue -----------------------------------------------------------------------
# The queue transports job ids only; the job row is the truth. See
# docs/adr/0003-jobs.md for the reasons behind each value.

Q_CLUSTER = {
    "name": "finwave",  # also the signing salt: equal for all clusters
    "orm": "default",
    "poll": 0.2,
    "timeout": -1,  # none: the job's lease says when it is lost
    "retry": 10**7,  # never delivered again by the queue itself
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": 200,
    "catch_up": False,
    "label": "finwave",
    "daemonize_workers": False,
    "cpu_affinity": 0,
    "recycle": 10**9,  # never: the guardian takes a worker that ends for killed
    "workers": FINWAVE_CPU_WORKERS,
    "queue_limit": FINWAVE_CPU_WORKERS,
    "ALT_CLUSTERS": {
        "cpu": {"workers": FINWAVE_CPU_WORKERS, "queue_limit": FINWAVE_CPU_WORKERS},
        "train": {"workers": 1, "queue_limit": 1},
    },
}

# Accounts --------------------------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "populations:population-list"
LOGOUT_REDIRECT_URL = "accounts:login"
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "accounts/locked_out.html"
AXES_RESET_ON_SUCCESS = True

# Language and time -----------------------------------------------------------

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env_str("FINWAVE_TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

# Files -----------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env_path("FINWAVE_STATIC_ROOT", FINWAVE_HOME / "static")
MEDIA_ROOT = FINWAVE_HOME
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if not DEBUG
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
DATA_UPLOAD_MAX_NUMBER_FILES = 2000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20000
FILE_UPLOAD_TEMP_DIR = FINWAVE_HOME / "uploads"
FILE_UPLOAD_TEMP_DIR.mkdir(exist_ok=True)

# Security --------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
BEHIND_HTTPS = env_bool("FINWAVE_BEHIND_HTTPS", False)
SESSION_COOKIE_SECURE = BEHIND_HTTPS
CSRF_COOKIE_SECURE = BEHIND_HTTPS
if BEHIND_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# E-mail (password reset) -----------------------------------------------------

EMAIL_BACKEND = env_str(
    "FINWAVE_EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend"
)
EMAIL_HOST = env_str("FINWAVE_EMAIL_HOST", "localhost")
EMAIL_PORT = env_int("FINWAVE_EMAIL_PORT", 25)
DEFAULT_FROM_EMAIL = env_str("FINWAVE_EMAIL_FROM", "finwave@localhost")

# Logging ---------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": "{asctime} {levelname:7} {name}: {message}",
            "style": "{",
            "datefmt": "%H:%M:%S",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env_str("FINWAVE_LOG_LEVEL", "INFO")},
    "loggers": {
        "axes": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "django-q": {"level": "WARNING"},  # jobs say themselves what they do
    },
}
