from django.urls import path

from registry.promotion import api

urlpatterns = [
    path("models/<int:model_id>/policy", api.PolicyView.as_view(), name="api-model-policy"),
    path("models/<int:model_id>/aliases", api.AliasesView.as_view(), name="api-model-aliases"),
    path("models/<int:model_id>/aliases/history", api.AliasHistoryView.as_view(), name="api-model-alias-history"),
    path("models/<int:model_id>/aliases/<str:alias>", api.AliasView.as_view(), name="api-model-alias"),
    path("models/<int:model_id>/rollback", api.ModelRollbackView.as_view(), name="api-model-rollback"),
    path("versions/<int:version_id>/checks", api.ChecksView.as_view(), name="api-version-checks"),
    path("versions/<int:version_id>/promote", api.PromoteView.as_view(), name="api-version-promote"),
    path("versions/<int:version_id>/rollback", api.VersionRollbackView.as_view(), name="api-version-rollback"),
    path("promotions", api.PromotionsView.as_view(), name="api-promotions"),
    path("promotions/<int:promotion_id>", api.PromotionView.as_view(), name="api-promotion"),
    path("promotions/<int:promotion_id>/approve", api.ApproveView.as_view(), name="api-promotion-approve"),
    path("promotions/<int:promotion_id>/reject", api.RejectView.as_view(), name="api-promotion-reject"),
    path("promotions/<int:promotion_id>/withdraw", api.WithdrawView.as_view(), name="api-promotion-withdraw"),
]
