from django.urls import path

from datasets import views
from datasets.freezing import views as version_views
from datasets.gating import views as gate_views
from datasets.intake import views as source_views
from datasets.items import views as item_views
from datasets.quality import views as quality_views
from datasets.rendering import views as sheet_views
from datasets.reviewing import views as review_views
from datasets.subjects import views as subject_views

urlpatterns = [
    path("datasets/<int:pk>/quality", quality_views.quality, name="dataset-quality"),
    path("datasets/<int:pk>/quality/check", quality_views.check, name="dataset-quality-check"),
    path("datasets/<int:pk>/quality/settings", quality_views.settings, name="dataset-quality-settings"),
    path("datasets/<int:pk>/quality/finding", quality_views.finding, name="dataset-quality-finding"),
    path("datasets/<int:pk>/quality/accept", quality_views.accept, name="dataset-quality-accept"),
    path("datasets/<int:pk>/quality/edits/<int:edit_id>/undo", quality_views.undo, name="dataset-quality-undo"),
    path("datasets/<int:pk>/quality/<slug:code>/<slug:action>", quality_views.act, name="dataset-quality-act"),
    path("datasets", views.datasets, name="datasets"),
    path("datasets/new", views.new, name="dataset-new"),
    path("datasets/<int:pk>", views.dataset, name="dataset"),
    path("datasets/<int:pk>/items/edit", item_views.edit, name="dataset-items-edit"),
    path("datasets/<int:pk>/items/<int:item_id>", item_views.item, name="dataset-item"),
    path("datasets/<int:pk>/items/<int:item_id>/change", item_views.change, name="dataset-item-change"),
    path("datasets/<int:pk>/edits/<int:edit_id>/undo", item_views.undo, name="dataset-edit-undo"),
    path("datasets/<int:pk>/upload", views.upload, name="dataset-upload"),
    path("datasets/<int:pk>/import-from", source_views.import_from, name="dataset-import-from"),
    path("datasets/<int:pk>/imports/<int:import_id>/again", source_views.import_again, name="dataset-import-again"),
    path("datasets/<int:pk>/imports/<int:import_id>/cancel", source_views.cancel, name="dataset-import-cancel"),
    path("datasets/<int:pk>/split", views.split, name="dataset-split"),
    path("datasets/<int:pk>/freeze", views.freeze, name="dataset-freeze"),
    path("datasets/<int:pk>/change", views.change, name="dataset-change"),
    path("datasets/<int:pk>/delete", views.delete, name="dataset-delete"),
    path("reviews", review_views.waiting, name="reviews"),
    path("datasets/<int:pk>/review", review_views.review, name="dataset-review"),
    path("datasets/<int:pk>/review/vote", review_views.vote, name="dataset-review-vote"),
    path("datasets/<int:pk>/review/<int:item_id>/text", review_views.text, name="dataset-review-text"),
    path("datasets/<int:pk>/review/undo", review_views.undo, name="dataset-review-undo"),
    path("datasets/<int:pk>/gates", gate_views.page, name="dataset-gates"),
    path("datasets/<int:pk>/gates/change", gate_views.change, name="dataset-gates-change"),
    path("datasets/<int:pk>/gates/reviewers", gate_views.assign, name="dataset-gates-assign"),
    path("datasets/<int:pk>/gates/reviewers/dismiss", gate_views.dismiss, name="dataset-gates-dismiss"),
    path("datasets/<int:pk>/versions", version_views.versions, name="dataset-versions"),
    path("datasets/<int:pk>/versions/<int:number>", version_views.version, name="dataset-version"),
    path("datasets/<int:pk>/versions/<int:number>/left-out", version_views.left_out, name="dataset-version-left-out"),
    path("datasets/<int:pk>/versions/<int:number>/changes", version_views.difference, name="dataset-version-changes"),
    path("datasets/<int:pk>/versions/<int:number>/delete", version_views.delete, name="dataset-version-delete"),
    path("datasets/<int:pk>/imports/<int:import_id>/set-aside", views.refusals, name="dataset-refusals"),
    path("datasets/<int:pk>/sheet", sheet_views.sheet, name="dataset-sheet"),
    path("datasets/<int:pk>/sheet/preview", sheet_views.preview, name="dataset-sheet-preview"),
    path("datasets/<int:pk>/sheet/rows/<int:number>", sheet_views.row, name="sheet-row"),
    path("datasets/<int:pk>/sheet/templates/new", sheet_views.edit, name="sheet-template-new"),
    path("datasets/<int:pk>/sheet/templates/<int:template_id>", sheet_views.edit, name="sheet-template"),
    path(
        "datasets/<int:pk>/sheet/templates/<int:template_id>/delete",
        sheet_views.delete_template,
        name="sheet-template-delete",
    ),
    path("datasets/<int:pk>/sheet/templates/<int:template_id>/render", sheet_views.render_sheet, name="sheet-render"),
    path("datasets/<int:pk>/sheet/renderings/<int:rendering_id>", sheet_views.rendering, name="rendering"),
    path("datasets/<int:pk>/subjects", subject_views.assign, name="dataset-subjects"),
    path("datasets/<int:pk>/pairs", sheet_views.pairs, name="dataset-pairs"),
]
