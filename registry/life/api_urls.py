from django.urls import path

from registry.life import api

urlpatterns = [
    path("versions/<int:version_id>/archive", api.ArchiveView.as_view(), name="api-version-archive"),
    path("versions/<int:version_id>/unarchive", api.UnarchiveView.as_view(), name="api-version-unarchive"),
    path("versions/<int:version_id>/card", api.CardView.as_view(), name="api-version-card"),
    path("versions/<int:version_id>/card/notes", api.VersionNotesView.as_view(), name="api-version-card-notes"),
    path("models/<int:model_id>/card/notes", api.ModelNotesView.as_view(), name="api-model-card-notes"),
    path("versions/<int:version_id>/export", api.ExportView.as_view(), name="api-version-export"),
    path("versions/<int:version_id>/verify", api.VerifyView.as_view(), name="api-version-verify"),
]
