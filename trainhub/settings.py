"""All settings, from the environment. `docs/operations.md` lists the variables."""

from __future__ import annotations

import os
import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from common.paths import home, run_folder

BASE_DIR = Path(__file__).resolve().parent.parent
TRAINHUB_VERSION = "0.4.0"
TRAINHUB_HOME = home()
TRAINHUB_PORT = int(os.environ.get("TRAINHUB_PORT", "8000"))
# Where people reach the hub. An https address switches every production protection on.
TRAINHUB_URL = os.environ.get("TRAINHUB_URL", f"http://127.0.0.1:{TRAINHUB_PORT}").rstrip("/")
SECURE = TRAINHUB_URL.startswith("https://")
DEBUG = os.environ.get("TRAINHUB_DEBUG", "") == "1"


def _secret_key() -> str:
    """TRAINHUB_SECRET_KEY, else one that is made at the first start and kept in a private file."""
    given = os.environ.get("TRAINHUB_SECRET_KEY", "")
    if given:
        if len(given) < 50:
            raise ImproperlyConfigured("TRAINHUB_SECRET_KEY is too short: use at least 50 random characters.")
        return given
    if SECURE:
        raise ImproperlyConfigured("Set TRAINHUB_SECRET_KEY to at least 50 random characters, the same on every node.")
    path = TRAINHUB_HOME / "secret_key"
    if not path.exists():
        TRAINHUB_HOME.mkdir(parents=True, exist_ok=True)
        # Written whole under another name, then linked: nobody ever reads half a key, and the first one stays.
        draft = TRAINHUB_HOME / f".secret_key.{os.getpid()}"
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(64))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = [key for key in os.environ.get("TRAINHUB_SECRET_KEY_FALLBACKS", "").split(",") if key]


def _hosts() -> list[str]:
    extra = [host for host in os.environ.get("TRAINHUB_ALLOWED_HOSTS", "").split(",") if host]
    own = urlsplit(TRAINHUB_URL).hostname or "127.0.0.1"
    local = [] if SECURE else ["127.0.0.1", "localhost", "[::1]"]
    return [*dict.fromkeys([own, *local, *extra])]


ALLOWED_HOSTS = _hosts()
CSRF_TRUSTED_ORIGINS = [TRAINHUB_URL] if SECURE else []

INSTALLED_APPS = [
    "trainhub.admin_app.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "django_q",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "common",
    "accounts",
    "datasets",
    "registry",
    "jobs",
    "history",
    "performance",
    "trainhub",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "common.middleware.DatabaseAwayMiddleware",
    "common.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "common.middleware.ProblemMiddleware",
]

ROOT_URLCONF = "trainhub.urls"
ASGI_APPLICATION = "trainhub.asgi.application"

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
                "trainhub.context.hub",
            ],
        },
    },
]


# A worker that is not heard of for this long has lost its job; it renews three times as often.
LEASE_SECONDS = float(os.environ.get("TRAINHUB_LEASE_SECONDS", "30"))
HEARTBEAT_SECONDS = LEASE_SECONDS / 3


def _prices(text: str) -> tuple[str, dict[str, float]]:
    """(currency, price by kind of device); ('', {}) for an empty text."""
    words = text.replace(",", " ").split()
    pairs = [word.partition("=") for word in words if "=" in word]
    currency = " ".join(word for word in words if "=" not in word)
    try:
        prices = {kind.strip().lower(): float(price) for kind, _, price in pairs}
    except ValueError:
        prices = {"": -1.0}
    if (
        any(not 0 <= price < 1e6 for price in prices.values())
        or set(prices) - {"cpu", "cuda"}
        or bool(words) != bool(pairs)
    ):
        raise ImproperlyConfigured('TRAINHUB_DEVICE_HOUR_PRICE must look like "EUR cuda=2.50 cpu=0.05"')
    return currency, prices


def _database() -> dict[str, object]:
    """PostgreSQL from DATABASE_URL, or the embedded server of TRAINHUB_HOME."""
    options: dict[str, object] = {
        "connect_timeout": 5,
        "options": "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s",
    }
    settings: dict[str, object] = {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
    url = os.environ.get("DATABASE_URL", "")
    if url:
        parts = urlsplit(url)
        if parts.scheme not in {"postgres", "postgresql"} or len(parts.path) < 2:
            raise ImproperlyConfigured("DATABASE_URL must look like postgresql://user:password@host:5432/name")
        query = dict(parse_qsl(parts.query))
        settings |= {
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or query.pop("user", "")),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": query.pop("host", None) or parts.hostname or "",
            "PORT": parts.port or "",
        }
        query.pop("user", None)
        # A line that is cut without a word is noticed within seconds, so that leases hold.
        options |= {"tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
        options |= query
    else:
        settings |= {"NAME": "trainhub", "USER": "trainhub", "HOST": str(run_folder(TRAINHUB_HOME) / "pg")}
    # A pool runs threads of its own, so only the web process, which never forks, may have one.
    if os.environ.get("TRAINHUB_ROLE") == "web":
        options["pool"] = {"min_size": 1, "max_size": 12, "timeout": 1.5, "max_idle": 120}
    else:
        settings["CONN_MAX_AGE"] = 600
    return settings


DATABASES = {"default": _database()}
TRAINHUB_EMBEDDED = not os.environ.get("DATABASE_URL")  # other machines can't reach the embedded server
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# django-q2 warns at each start that no time limit is set for tasks; ours is the supervisor's business.
warnings.filterwarnings("ignore", message="Retry and timeout are misconfigured")

# One task a slot at a time, and tasks carry no job: see docs/architecture.md, 'Queue'.
# `retry` lies far beyond any job, since a lost knock is sent again by the sweep.
Q_CLUSTER = {
    "name": "trainhub",
    "orm": "default",
    "broker_class": "jobs.broker.KnockBroker",
    "workers": 1,
    "timeout": None,
    "retry": 10 * 365 * 86400,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "scheduler": False,
    "save_limit": 250,
    "poll": 1,
    "log_level": "WARNING",
    "cpu_affinity": 0,
    "recycle": 0,
    "guard_cycle": 0.5,
    "label": "Background work",
}

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"

# Mail, where a server is named; nothing is sent without one.
EMAIL_HOST = os.environ.get("TRAINHUB_MAIL_HOST", "")
EMAIL_PORT = int(os.environ.get("TRAINHUB_MAIL_PORT", "587"))
EMAIL_HOST_USER = os.environ.get("TRAINHUB_MAIL_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("TRAINHUB_MAIL_PASSWORD", "")
_TLS = os.environ.get("TRAINHUB_MAIL_TLS", "starttls")
if _TLS not in {"starttls", "ssl", "off"}:
    raise ImproperlyConfigured("TRAINHUB_MAIL_TLS must be starttls, ssl or off.")
EMAIL_USE_TLS, EMAIL_USE_SSL = _TLS == "starttls", _TLS == "ssl"
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = os.environ.get("TRAINHUB_MAIL_FROM", f"trainhub@{urlsplit(TRAINHUB_URL).hostname or 'localhost'}")

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static_root"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "common.static.AssetFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "common.static.AssetStorage"},
}

# Uploads are streamed to disk below the home; what may come in is limited by datasets.limits.
TRAINHUB_IMPORT_ROOTS = [path for path in os.environ.get("TRAINHUB_IMPORT_ROOTS", "").split(":") if path]
# Below these lie models to start from; the first one takes in what fetch_model downloads.
TRAINHUB_MODEL_FOLDERS = [
    path for path in os.environ.get("TRAINHUB_MODEL_FOLDERS", str(TRAINHUB_HOME / "models")).split(":") if path
]
TRAINHUB_ALLOW_INTERNAL_SOURCES = [
    entry.strip() for entry in os.environ.get("TRAINHUB_ALLOW_INTERNAL_SOURCES", "").split(",") if entry.strip()
]
# Hosts inside that webhooks of alerts may be sent to.
TRAINHUB_ALLOW_INTERNAL_WEBHOOKS = [
    entry.strip() for entry in os.environ.get("TRAINHUB_ALLOW_INTERNAL_WEBHOOKS", "").split(",") if entry.strip()
]
TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = [
    entry.strip() for entry in os.environ.get("TRAINHUB_ALLOW_INTERNAL_ENDPOINTS", "").split(",") if entry.strip()
]
FILE_UPLOAD_TEMP_DIR = str(TRAINHUB_HOME / "uploads")
FILE_UPLOAD_HANDLERS = ["datasets.intake.uploads.FolderUploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o640
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 20_000

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_HTTPONLY = False
if SECURE:
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_SECURE = True
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    if os.environ.get("TRAINHUB_BEHIND_PROXY") == "1":
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
else:
    # Two hubs on one host name share its cookies unless the names differ.
    SESSION_COOKIE_NAME = f"sessionid_{TRAINHUB_PORT}"
    CSRF_COOKIE_NAME = f"csrftoken_{TRAINHUB_PORT}"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.parsers.StrictJSONParser"],
    "URL_FORMAT_OVERRIDE": None,  # `?format=csv` is a parameter of ours
    "DEFAULT_PAGINATION_CLASS": "common.pagination.Pages",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS tells nothing that the schema does not
    "EXCEPTION_HANDLER": "common.problems.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "TrainHub API",
    "DESCRIPTION": "Data in, a watched training run, a model version out.",
    "VERSION": TRAINHUB_VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "ENUM_NAME_OVERRIDES": {
        "JobStatusEnum": "jobs.states.Status",
        "DatasetStatusEnum": "datasets.models.Dataset.Status",
        "ImportStatusEnum": "datasets.models.Import.Status",
        "LogPolicyKeepEnum": "registry.models.LogPolicy.Keep",
        "VersionStatusEnum": "registry.models.ModelVersion.Status",
        "VersionNameEnum": "registry.models.aliases.Name",
        "NameChangeEnum": "registry.models.AliasChange.Kind",
        "SessionKindEnum": "history.models.Session.Kind",
        "PromotionStatusEnum": "registry.models.PromotionRequest.Status",
        "SearchStatusEnum": "jobs.models.Search.Status",
        "TrialStateEnum": "jobs.models.Trial.State",
        "NodeStateEnum": "jobs.models.Node.State",
        "RetrainingStatusEnum": "performance.models.Retraining.Status",
        "RetrainingKindEnum": "performance.models.Retraining.Kind",
        "ExperimentStatusEnum": "performance.models.Experiment.Status",
        "ExperimentKindEnum": "performance.models.Experiment.Kind",
        "ExperimentMetricEnum": "performance.experiments.metrics.Metric",
        "ExperimentVerdictEnum": "performance.models.Experiment.Verdict",
        "AlertStatusEnum": "performance.models.Alert.Status",
        "AlertSeverityEnum": "performance.models.Severity",
        "AlertKindEnum": "performance.models.AlertRule.Kind",
        "AlertComparisonEnum": "performance.models.AlertRule.Comparison",
        "AlertEventKindEnum": "performance.models.AlertEvent.Kind",
        "ChannelKindEnum": "performance.models.Channel.Kind",
        "FigureSourceEnum": "performance.models.MetricRecord.Source",
        "DriftSubjectEnum": "performance.models.DriftCheck.Subject",
        "DriftReferenceEnum": "performance.models.DriftMonitor.Reference",
    },
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "trainhub.api_schema.add_problem_details",
        "trainhub.api_schema.close_inputs",
    ],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "common.logs.JsonFormatter"}},
    "filters": {"absences": {"()": "common.logs.ExpectedAbsences"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["absences"]}},
    "root": {"handlers": ["console"], "level": os.environ.get("TRAINHUB_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "uvicorn.access": {"level": "WARNING"},
        "django-q": {"level": "WARNING"},
    },
}

# Whether a prediction is written before it is answered. Tests do so: what is in their transactions no thread sees.
LOG_PREDICTIONS_AT_ONCE = False

# How a node and its jobs behave; seconds.
TRAINHUB_SLOTS = os.environ.get("TRAINHUB_SLOTS", "")  # empty: one a GPU, or one CPU slot
TRAINHUB_LABELS = os.environ.get("TRAINHUB_LABELS", "")  # words by which jobs can ask for this node, by comma
TRAINHUB_NODE = os.environ.get("TRAINHUB_NODE", "")  # empty: the host's name
# Whether this node's machine answers predictions, and how much memory all models together may take there.
TRAINHUB_SERVING = os.environ.get("TRAINHUB_SERVING", "1") != "0"
TRAINHUB_SERVING_MEMORY = os.environ.get("TRAINHUB_SERVING_MEMORY", "")  # "6G", "40%"; empty: half
CHECKPOINT_SECONDS = float(os.environ.get("TRAINHUB_CHECKPOINT_SECONDS", "30"))
# Attempts in a row without a new checkpoint, after which a job is given up; seconds to wait before each but the first.
MAX_ATTEMPTS = 5
RETRY_DELAYS = (0.0, 1.0, 10.0, 60.0)
# What an hour of one device costs, as "EUR cuda=2.50 cpu=0.05": pages and API then tell what runs will and did cost.
DEVICE_HOUR_CURRENCY, DEVICE_HOUR_PRICE = _prices(os.environ.get("TRAINHUB_DEVICE_HOUR_PRICE", ""))
# A job that shows no progress for this long counts as stalled, unless it says otherwise.
STALL_SECONDS = float(os.environ.get("TRAINHUB_STALL_SECONDS", "1800"))
# After so many different jobs in a row that died on a node before a step, it takes none for a while.
NODE_FAILURES = int(os.environ.get("TRAINHUB_NODE_FAILURES", "5"))
SET_ASIDE_SECONDS = float(os.environ.get("TRAINHUB_SET_ASIDE_SECONDS", "600"))
# How often what models in use need is looked at: figures, drift, tests, alerts, retraining; seconds.
LOOK_SECONDS = float(os.environ.get("TRAINHUB_LOOK_SECONDS", "10"))
