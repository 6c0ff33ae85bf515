"""Settings. Those that differ between installations come from the environment or .env (see .env.example)."""

import contextlib
import importlib.util
import os
import secrets
import tempfile
from pathlib import Path

from django.conf.locale import LANG_INFO
from django.core.exceptions import ImproperlyConfigured

from diffuser_api.access import internal
from djangoproject import environment
from generation import VERSION
from generation.marking import label
from generation.models.profile_variables import VARIABLES
from generation.models.profiles import get_profile
from generation.processes import isolation
from generation.step_table import STEPS, TRAIN

os.umask(0o077)  # what is stored here is nobody else's on this machine
BASE_DIR = Path(__file__).resolve().parent.parent
environment.load(BASE_DIR / ".env")
env = environment.Environment(BASE_DIR)

# --- folders ------------------------------------------------------------------------------------------------
DATA_DIR = env.private_folder("DATA_DIR", "data")  # the storage: pictures, LoRAs, outputs, the SQLite file
TMP_DATA_DIR = env.private_folder("TMP_DATA_DIR", "tmp_data")  # one folder for each running job
TRAINING_APP_DIR = env.folder("TRAINING_APP_DIR", "training-app")  # holds training-input and training-output
MEDIA_ROOT = DATA_DIR
MEDIA_URL = "/data/"
SERVER_URL = env.address("SERVER_URL", "http://127.0.0.1:8000")  # where a finished training finds the server

try:  # a wrong value stops every process at its start, not at the first picture
    get_profile()
    isolation.chosen_name()
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from error
env.choice("CPU_DTYPE", ("auto", "float32", "bfloat16"))
env.choice("POSE_DETECTOR", ("mediapipe", "openpose"))
env.number("TEMPLATE_MEMORY_MB", 0, 0)

# --- limits -------------------------------------------------------------------------------------------------
MAX_UPLOAD_MB = env.number("MAX_UPLOAD_MB", 15, 1)  # each picture
MIN_FREE_MB = env.number("MIN_FREE_MB", 200, 0)  # on each disk; with less, no new job is taken
MAX_PIXELS_MP = env.number("MAX_PIXELS_MP", 40, 1)  # megapixels of each picture
WORKER_STEPS = env.some_of("WORKER_STEPS", (TRAIN, *STEPS))  # for which a worker takes jobs
STEP_TIMEOUT = env.number("STEP_TIMEOUT", 3600, 0)  # seconds, loading included; 0: no limit
TRAINING_TIMEOUT = env.number("TRAINING_TIMEOUT", 86_400, 0)  # seconds
TRAINING_YIELDS_AFTER = env.number("TRAINING_YIELDS_AFTER", 60, 0)  # seconds that pictures wait; 0: never
PAGES_FIRST = env.number("PAGES_FIRST", 0, 0)  # seconds for which others may pass a picture with a webhook
WAITING_REQUESTS = env.number("WAITING_REQUESTS", 3, 0)  # each holds a thread of the web server

ALLOW_SWIMWEAR = env.flag("ALLOW_SWIMWEAR", False)  # in the words for a picture
PHOTO_CHECKS = env.choice("PHOTO_CHECKS", ("strict", "warn", "off"))  # do findings refuse a visitor's photos?
CLIENT_RATE = env.rate("CLIENT_RATE", "6000/minute")  # requests with a client's token
ADDRESS_RATE = env.rate("ADDRESS_RATE", "600/minute")  # other requests of one address
PHOTO_RATE = env.rate("PHOTO_RATE", "30/minute")  # seconds of the processor for photos of one address
MAX_JOBS_WAITING = env.number("MAX_JOBS_WAITING", 100, 1)  # of one client

# --- retention ----------------------------------------------------------------------------------------------
KEEP_OUTPUTS_DAYS = env.number("KEEP_OUTPUTS_DAYS", 30, 0)  # 0: until they are deleted
KEEP_LORAS_DAYS = env.number("KEEP_LORAS_DAYS", 30, 0)
KEEP_AUDIT_DAYS = env.number("KEEP_AUDIT_DAYS", 365, 1)  # entries of the audit log, which names no visitor
API_NEEDS_CONSENT = env.flag("API_NEEDS_CONSENT", False)  # the studio always needs it

# --- marking ------------------------------------------------------------------------------------------------
C2PA_CERTIFICATE = env.file("C2PA_CERTIFICATE")  # a chain, PEM; without one, the installation makes its own
C2PA_KEY = env.file("C2PA_KEY")
C2PA_TIMESTAMP_URL = env.address("C2PA_TIMESTAMP_URL", "")  # of a time-stamping service (RFC 3161)
if bool(C2PA_CERTIFICATE) != bool(C2PA_KEY):
    raise ImproperlyConfigured("Set both of C2PA_CERTIFICATE and C2PA_KEY, or neither.")
WATERMARK = env.flag("WATERMARK", False)  # in the pixels, with a reference to the job
SOMEBODY_ELSE_LABELS = env.flag("SOMEBODY_ELSE_LABELS", False)  # true: no visible label in the pictures
LABEL_CORNER = env.choice("LABEL_CORNER", label.CORNERS)
LABEL_LOOK = env.choice("LABEL_LOOK", tuple(label.LOOKS))

# --- access -------------------------------------------------------------------------------------------------
OPEN_API = env.flag("OPEN_API", False)  # no token is needed by requests from OPEN_API_NETWORKS
OPEN_API_NETWORKS = env.networks("OPEN_API_NETWORKS", ["127.0.0.0/8", "::1/128"])
OUTPUT_URLS = env.choice("OUTPUT_URLS", ("signed", "plain"))  # for the owner, or with a signature; for all
OUTPUT_URL_HOURS = env.number("OUTPUT_URL_HOURS", 24, 1)
SHARE_DAYS = env.number("SHARE_DAYS", 90, 1)  # the longest time for which a visitor may share a picture
NUM_PROXIES = env.number("NUM_PROXIES", 0, 0)  # that add the sender's address to X-Forwarded-For

STUDIO = env.flag("STUDIO", False)  # opens the visitors' pages to all; OPEN_API opens them to this host
METRICS_TOKEN = env.text("METRICS_TOKEN")  # of Prometheus; without one there is no /metrics

# --- webhooks -----------------------------------------------------------------------------------------------
WEBHOOK_ALLOW_HTTP = env.flag("WEBHOOK_ALLOW_HTTP", False)
WEBHOOK_ALLOWED_NETWORKS = env.networks("WEBHOOK_ALLOWED_NETWORKS")  # beside public ones

# --- security -----------------------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG", False)
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")


def _kept_secret_key(path: Path) -> str:
    """A key of this installation's own, made at the first start and readable by its user alone."""
    if not path.exists():
        descriptor, aside = tempfile.mkstemp(dir=path.parent)  # readable by its user alone
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(aside, path)  # whole at once: nobody reads an empty key
        os.unlink(aside)
    return path.read_text().strip()


OWN_SECRET_KEY = not env.text("SECRET_KEY")  # made here
SECRET_KEY = env.text("SECRET_KEY") or _kept_secret_key(DATA_DIR / "secret_key")
FORCE_SCRIPT_NAME = SCRIPT_NAME = env.path("SCRIPT_NAME")  # the site's own path below the host's
HTTPS = env.flag("HTTPS", False)  # the site is reached through a proxy that speaks https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = internal.without_tls(SCRIPT_NAME)
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
HSTS = env.choice("HSTS", ("host", "subdomains", "preload"))  # what browsers will reach by https only
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS and HSTS != "host"
SECURE_HSTS_PRELOAD = HTTPS and HSTS == "preload"
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # they want subdomains and preload in any case
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "studio.views.errors.old_page"
LOGIN_REDIRECT_URL = "admin:index"  # for a ``next`` that leads to another site, or to none


def _languages() -> list[str]:
    return sorted(path.name for path in (BASE_DIR / "studio" / "locale").iterdir())


# --- Django -------------------------------------------------------------------------------------------------
ROOT_URLCONF = "djangoproject.urls"
WSGI_APPLICATION = "djangoproject.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "diffuser_api",
    "studio",
    "django_htmx",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "django_cleanup.apps.CleanupConfig",  # last: it removes the files of deleted rows after the commit
]
MIDDLEWARE = [
    "diffuser_api.operations.database.waiting_middleware",
    "diffuser_api.access.internal.internal_middleware",
    "django.middleware.security.SecurityMiddleware",
    "diffuser_api.access.security_headers.headers_middleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "diffuser_api.access.paths.path_middleware",
    "diffuser_api.access.tokens.client_middleware",
    "diffuser_api.access.throttles.throttle_middleware",
    "diffuser_api.access.size_limits.size_limit_middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "diffuser_api.marking.keys.notice_in_admin",
                "diffuser_api.admin.publishing.waiting",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LANGUAGE_CODE = "en"
# English, and every language that the studio's locale/ has a folder of.
LANGUAGES = [(code, LANG_INFO[code]["name_local"]) for code in ("en", *_languages())]
LANGUAGE_COOKIE_SECURE, LANGUAGE_COOKIE_HTTPONLY, LANGUAGE_COOKIE_SAMESITE = HTTPS, True, "Lax"
FORMAT_MODULE_PATH = ["diffuser_api.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True  # no collectstatic needed
STORAGES = {
    "default": {
        "BACKEND": "diffuser_api.storage.disk.DurableStorage",
        "OPTIONS": {"file_permissions_mode": 0o600},  # Django's own is for all to read
    },
    "staticfiles": {"BACKEND": "diffuser_api.storage.static.StaticFiles"},
}
BUCKET = env.bucket("STORAGE_URL")  # then machines share no folder, see jobs/copies.py
if BUCKET:
    if not importlib.util.find_spec("storages"):
        raise ImproperlyConfigured("STORAGE_URL needs django-storages: pip install -r requirements-scale.txt")
    STORAGES["default"] = {"BACKEND": "diffuser_api.storage.bucket.Bucket", "OPTIONS": BUCKET}
OUTPUT_SERVER = env.address("OUTPUT_SERVER", "")  # the bucket's server for browsers; empty: they don't ask it
if OUTPUT_SERVER and not BUCKET:
    raise ImproperlyConfigured("OUTPUT_SERVER needs a bucket: set STORAGE_URL.")
FILE_UPLOAD_TEMP_DIR = TMP_DATA_DIR  # where the sweep finds the files of a killed process
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # everything in a request but its files
DATA_UPLOAD_MAX_NUMBER_FIELDS = 450  # an editor's page of a place with 60 pictures
DATA_UPLOAD_MAX_NUMBER_FILES = 60

# --- database -------------------------------------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL", DATA_DIR / "db.sqlite3")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A connection for each thread, kept: to open the file for each request took a sixth of a short answer.
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,  # seconds that a command waits for a lock; for others see operations/database.py
        # FULL: accepted jobs and deletions survive a power cut. secure_delete overwrites deleted data.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;"
        " PRAGMA secure_delete=ON;",
    }
    # A file, as in production: a database in memory knows no waiting for a lock.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A connection for each thread that needs one, kept for a minute and tried before it is used again.
    # No cursor outlives a transaction, so that a pool such as PgBouncer may stand in front.
    kept = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "DISABLE_SERVER_SIDE_CURSORS": True}
    DATABASES["default"] = kept | DATABASES["default"]
    # Seconds (the last: milliseconds) until a server that is cut off from here counts as away.
    cut_off = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    options = cut_off | {"tcp_user_timeout": 20_000} | DATABASES["default"].get("OPTIONS", {})
    DATABASES["default"]["OPTIONS"] = options

# --- messages -------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.broker("CELERY_BROKER_URL")
if CELERY_BROKER_URL and not importlib.util.find_spec("celery"):
    raise ImproperlyConfigured("CELERY_BROKER_URL needs Celery: pip install -r requirements-scale.txt")

# --- API ----------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["diffuser_api.access.tokens.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "rest_framework.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "EXCEPTION_HANDLER": "diffuser_api.api.errors.answer_errors",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cartolina",
    "DESCRIPTION": "Five photos of a visitor train a LoRA; place, action and a few words give a picture.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,  # a file is sent as bytes, and answered as a URL
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "diffuser_api.api.schema.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "JobStatus": "diffuser_api.models.Job.Status",
        "JobKind": "diffuser_api.models.Job.Kind",
        "ShotType": "diffuser_api.models.ShotType",
    },
}

# --- logs: one line for each event, on stderr ---------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "djangoproject.logs.OneLine",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.choice("LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))},
}

# --- read by generation/, and names that are none -----------------------------------------------------------
READ_ELSEWHERE = {*VARIABLES, "MODEL_PROFILE", "STEP_ISOLATION", "POSE_DETECTOR_MODEL"}
MISTAKEN_NAMES = env.look_alikes(READ_ELSEWHERE)  # sentences; `manage.py check` says them
