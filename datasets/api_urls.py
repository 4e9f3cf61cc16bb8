from django.urls import path

from datasets import api, sheet_api, upload_api

DATASET = "datasets/<int:dataset_id>"

urlpatterns = [
    path("datasets", api.DatasetsView.as_view(), name="api-datasets"),
    path(DATASET, api.DatasetView.as_view(), name="api-dataset"),
    path(f"{DATASET}/files", api.FilesView.as_view(), name="api-dataset-files"),
    path(f"{DATASET}/imports", api.ImportsView.as_view(), name="api-dataset-imports"),
    path(f"{DATASET}/imports/<int:import_id>", api.ImportView.as_view(), name="api-dataset-import"),
    path(f"{DATASET}/uploads", upload_api.UploadsView.as_view(), name="api-dataset-uploads"),
    path(f"{DATASET}/uploads/finish", upload_api.UploadsFinishView.as_view(), name="api-dataset-uploads-finish"),
    path(f"{DATASET}/uploads/<uuid:upload_id>", upload_api.UploadView.as_view(), name="api-dataset-upload"),
    path(f"{DATASET}/items", api.ItemsView.as_view(), name="api-dataset-items"),
    path(f"{DATASET}/items/<int:item_id>/content", api.ItemContentView.as_view(), name="api-item-content"),
    path(f"{DATASET}/items/<int:item_id>/preview", api.ItemPreviewView.as_view(), name="api-item-preview"),
    path(f"{DATASET}/versions", api.DatasetVersionsView.as_view(), name="api-dataset-versions"),
    path(f"{DATASET}/split", api.SplitView.as_view(), name="api-dataset-split"),
    path(f"{DATASET}/render", sheet_api.RenderView.as_view(), name="api-dataset-render"),
    path(f"{DATASET}/renderings", sheet_api.RenderingsView.as_view(), name="api-dataset-renderings"),
    path("renderings/<int:rendering_id>", sheet_api.RenderingView.as_view(), name="api-rendering"),
    path("renderings/<int:rendering_id>/errors", sheet_api.RenderErrorsView.as_view(), name="api-rendering-errors"),
    path("templates", sheet_api.SheetTemplatesView.as_view(), name="api-sheet-templates"),
    path("templates/preview", sheet_api.TemplatePreviewView.as_view(), name="api-sheet-templates-preview"),
    path("templates/<int:sheet_template_id>", sheet_api.SheetTemplateView.as_view(), name="api-sheet-template"),
    path("subjects", api.SubjectsView.as_view(), name="api-subjects"),
]
