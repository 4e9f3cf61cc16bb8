from django.urls import path

from registry import views
from registry.life.urls import urlpatterns as life

urlpatterns = [
    path("models", views.models, name="models"),
    path("models/<int:pk>", views.model, name="model"),
    path("versions/<int:pk>", views.version, name="version"),
    path("versions/<int:pk>/merge", views.merge, name="version-merge"),
    path("versions/<int:pk>/try", views.try_it, name="version-try"),
    path("versions/<int:pk>/files/<int:number>", views.file, name="version-file"),
    path("versions/<int:pk>/pictures/<str:name>", views.picture, name="version-picture"),
    *life,
]
