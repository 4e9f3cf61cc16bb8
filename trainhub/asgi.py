"""The web process: pages and API by Django, streams beside it."""

import os
import warnings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trainhub.settings")
os.environ.setdefault("TRAINHUB_ROLE", "web")

import django

from common.paths import prepare_home

# Said of static files, which are small; long answers of our own are asynchronous (common.downloads).
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

prepare_home()
django.setup(set_prefix=False)

from common.doorstep import BodyLimit  # noqa: E402
from common.handler import Handler  # noqa: E402
from common.settling import settle  # noqa: E402
from common.streams import Streams  # noqa: E402
from datasets.limits import MAX_UPLOAD_BYTES  # noqa: E402

TOKENS = "accounts.tokens.authenticate"

SOURCES = {
    "job": "jobs.live.JobSource",
    "monitor": "jobs.live.MonitorSource",
    "dashboard": "jobs.live.DashboardSource",
    "queue": "jobs.live.QueueSource",
    "nodes": "jobs.live.NodesSource",
    "node": "jobs.live.NodeSource",
    "automatic": "jobs.automatic.live.AutomaticSource",
    "dataset": "datasets.live.DatasetSource",
    "quality": "datasets.quality.live.QualitySource",
    "sheet": "datasets.rendering.live.SheetSource",
    "rendering": "datasets.rendering.live.RenderingSource",
    "version": "registry.live.VersionSource",
    "retraining": "performance.retraining.live.RetrainingSource",
    "model": "registry.serving.live.ModelSource",
    "experiment": "performance.experiments.live.ExperimentSource",
    "drift": "performance.drift.live.DriftSource",
    "alerts": "performance.alerts.live.AlertsSource",
}

application = Streams(
    BodyLimit(Handler(), MAX_UPLOAD_BYTES, authenticate=TOKENS),
    SOURCES,
    api_source="jobs.stream.JobStream",
    beside="performance.alerts.live.AlertsSource",
    authenticate=TOKENS,
)

settle()
