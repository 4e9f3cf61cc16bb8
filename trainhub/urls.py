"""Every address of the hub."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

from trainhub.views import healthz, metrics

urlpatterns = [
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
]
if find_spec("datasets.api_urls"):
    urlpatterns.append(path("api/", include("trainhub.api")))
