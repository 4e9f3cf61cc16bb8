from django.urls import path

from registry import api
from registry.life.api_urls import urlpatterns as life

urlpatterns = [
    path("models", api.ModelsView.as_view(), name="api-models"),
    path("models/<int:model_id>", api.ModelView.as_view(), name="api-model"),
    path("models/<int:model_id>/versions", api.ModelVersionsView.as_view(), name="api-model-versions"),
    path("versions/<int:version_id>", api.VersionView.as_view(), name="api-version"),
    path("versions/<int:version_id>/merge", api.MergeView.as_view(), name="api-version-merge"),
    path("versions/<int:version_id>/lineage", api.VersionLineageView.as_view(), name="api-version-lineage"),
    path("versions/<int:version_id>/report", api.ReportView.as_view(), name="api-version-report"),
    path("versions/<int:version_id>/files/<str:name>", api.FileView.as_view(), name="api-version-file"),
    *life,
]
