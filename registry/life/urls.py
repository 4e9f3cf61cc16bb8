from django.urls import path

from registry.life import views

urlpatterns = [
    path("versions/<int:pk>/delete", views.delete, name="version-delete"),
    path("versions/<int:pk>/archive", views.archive, name="version-archive"),
    path("versions/<int:pk>/unarchive", views.unarchive, name="version-unarchive"),
    path("versions/<int:pk>/lineage", views.lineage, name="version-lineage"),
    path("versions/<int:pk>/card", views.card, name="version-card"),
    path("versions/<int:pk>/card/notes", views.version_notes, name="version-card-notes"),
    path("models/<int:pk>/card/notes", views.model_notes, name="model-card-notes"),
    path("versions/<int:pk>/export", views.export, name="version-export"),
    path("versions/<int:pk>/verify", views.verify, name="version-verify"),
]
