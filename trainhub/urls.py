"""All addresses: pages, API, administration, and those for machines."""

from django.contrib import admin
from django.urls import include, path

from trainhub import views

urlpatterns = [
    path("api/", include("trainhub.api")),
    path("", include("jobs.urls")),
    path("", include("accounts.urls")),
    path("", include("datasets.urls")),
    path("", include("registry.urls")),
    path("", include("registry.logged.urls")),
    path("", include("registry.promotion.urls")),
    path("", include("registry.serving.urls")),
    path("", include("history.urls")),
    path("", include("performance.urls")),
    path("", include("performance.retraining.urls")),
    path("", include("performance.experiments.urls")),
    path("", include("performance.drift.urls")),
    path("", include("performance.alerts.urls")),
    path("", include("performance.notices.urls")),
    path("healthz", views.healthz, name="healthz"),
    path("metrics", views.metrics, name="metrics"),
    path("admin/", admin.site.urls),
]

handler500 = "trainhub.views.server_error"
