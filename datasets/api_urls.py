from django.urls import path

from datasets import api
from datasets.freezing import api as version_api
from datasets.gating import api as governance_api
from datasets.intake import api as source_api
from datasets.intake import upload_api
from datasets.items import api as item_api
from datasets.quality import api as quality_api
from datasets.rendering import api as sheet_api
from datasets.reviewing import api as review_api
from datasets.subjects import api as subject_api

DATASET = "datasets/<int:dataset_id>"

urlpatterns = [
    path("datasets", api.DatasetsView.as_view(), name="api-datasets"),
    path(DATASET, api.DatasetView.as_view(), name="api-dataset"),
    path(f"{DATASET}/files", api.FilesView.as_view(), name="api-dataset-files"),
    path(f"{DATASET}/imports", source_api.ImportsView.as_view(), name="api-dataset-imports"),
    path(f"{DATASET}/imports/<int:import_id>", api.ImportView.as_view(), name="api-dataset-import"),
    path(
        f"{DATASET}/imports/<int:import_id>/again",
        source_api.ImportAgainView.as_view(),
        name="api-dataset-import-again",
    ),
    path(
        f"{DATASET}/imports/<int:import_id>/cancel",
        source_api.ImportCancelView.as_view(),
        name="api-dataset-import-cancel",
    ),
    path(f"{DATASET}/uploads", upload_api.UploadsView.as_view(), name="api-dataset-uploads"),
    path(f"{DATASET}/uploads/finish", upload_api.UploadsFinishView.as_view(), name="api-dataset-uploads-finish"),
    path(f"{DATASET}/uploads/<uuid:upload_id>", upload_api.UploadView.as_view(), name="api-dataset-upload"),
    path(f"{DATASET}/export", item_api.ItemsExportView.as_view(), name="api-dataset-export"),
    path(f"{DATASET}/items", item_api.ItemsView.as_view(), name="api-dataset-items"),
    path(f"{DATASET}/items/edit", item_api.ItemsEditView.as_view(), name="api-items-edit"),
    path(f"{DATASET}/items/<int:item_id>", item_api.ItemView.as_view(), name="api-item"),
    path(f"{DATASET}/items/<int:item_id>/content", item_api.ItemContentView.as_view(), name="api-item-content"),
    path(f"{DATASET}/items/<int:item_id>/preview", item_api.ItemPreviewView.as_view(), name="api-item-preview"),
    path(f"{DATASET}/items/<int:item_id>/series", item_api.ItemSeriesView.as_view(), name="api-item-series"),
    path(f"{DATASET}/edits", item_api.EditsView.as_view(), name="api-edits"),
    path(f"{DATASET}/edits/<int:edit_id>/undo", item_api.EditUndoView.as_view(), name="api-edit-undo"),
    path(f"{DATASET}/versions", api.DatasetVersionsView.as_view(), name="api-dataset-versions"),
    path(f"{DATASET}/versions/<int:number>", version_api.DatasetVersionView.as_view(), name="api-dataset-version"),
    path(f"{DATASET}/versions/<int:number>/export", version_api.VersionExportView.as_view(), name="api-version-export"),
    path(f"{DATASET}/versions/<int:number>/left-out", version_api.LeftOutView.as_view(), name="api-left-out"),
    path(f"{DATASET}/versions/<int:number>/difference", version_api.DifferenceView.as_view(), name="api-difference"),
    path(f"{DATASET}/items/remove", version_api.ItemsRemoveView.as_view(), name="api-items-remove"),
    path(f"{DATASET}/review", review_api.ReviewView.as_view(), name="api-review"),
    path(f"{DATASET}/review/undo", review_api.ReviewUndoView.as_view(), name="api-review-undo"),
    path(f"{DATASET}/review/<int:item_id>/content", review_api.ReviewContentView.as_view(), name="api-review-content"),
    path(f"{DATASET}/review/<int:item_id>/preview", review_api.ReviewPreviewView.as_view(), name="api-review-preview"),
    path(f"{DATASET}/reviewers", review_api.ReviewersView.as_view(), name="api-reviewers"),
    path(f"{DATASET}/reviewers/<int:user_id>", review_api.ReviewerView.as_view(), name="api-reviewer"),
    path(f"{DATASET}/agreement", review_api.AgreementView.as_view(), name="api-agreement"),
    path(f"{DATASET}/gates", governance_api.GatesView.as_view(), name="api-gates"),
    path(f"{DATASET}/decisions", governance_api.DecisionsView.as_view(), name="api-decisions"),
    path("governance/rules", governance_api.RulesView.as_view(), name="api-rules"),
    path("governance/rules/<int:rule_id>", governance_api.RuleView.as_view(), name="api-rule"),
    path(f"{DATASET}/split", api.SplitView.as_view(), name="api-dataset-split"),
    path(f"{DATASET}/render", sheet_api.RenderView.as_view(), name="api-dataset-render"),
    path(f"{DATASET}/renderings", sheet_api.RenderingsView.as_view(), name="api-dataset-renderings"),
    path("renderings/<int:rendering_id>", sheet_api.RenderingView.as_view(), name="api-rendering"),
    path("renderings/<int:rendering_id>/errors", sheet_api.RenderErrorsView.as_view(), name="api-rendering-errors"),
    path("templates", sheet_api.SheetTemplatesView.as_view(), name="api-sheet-templates"),
    path("templates/preview", sheet_api.TemplatePreviewView.as_view(), name="api-sheet-templates-preview"),
    path("templates/<int:sheet_template_id>", sheet_api.SheetTemplateView.as_view(), name="api-sheet-template"),
    path(f"{DATASET}/subjects", subject_api.AssignView.as_view(), name="api-dataset-subjects"),
    path("subjects", subject_api.SubjectsView.as_view(), name="api-subjects"),
    path("subjects/<int:subject_id>", subject_api.SubjectView.as_view(), name="api-subject"),
    path("subjects/<int:subject_id>/merge", subject_api.MergeView.as_view(), name="api-subject-merge"),
    path("eligibility-policies", subject_api.PoliciesView.as_view(), name="api-eligibility-policies"),
    path(f"{DATASET}/quality", quality_api.QualityView.as_view(), name="api-quality"),
    path(f"{DATASET}/quality/runs", quality_api.QualityRunsView.as_view(), name="api-quality-runs"),
    path(f"{DATASET}/quality/findings", quality_api.FindingsView.as_view(), name="api-quality-findings"),
    path(f"{DATASET}/quality/act", quality_api.QualityActView.as_view(), name="api-quality-act"),
]
