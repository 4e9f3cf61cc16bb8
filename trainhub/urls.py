"""All addresses: pages, API, administration."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

from trainhub import views

urlpatterns = [
    path("", include("jobs.urls")),
    path("", include("accounts.urls")),
    path("", include("datasets.urls")),
    path("", include("registry.urls")),
    path("", include("history.urls")),
    path("", include("performance.urls")),
    path("healthz", views.healthz, name="healthz"),
    path("metrics", views.metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
if find_spec("trainhub.api"):
    urlpatterns.insert(0, path("api/", include("trainhub.api")))
