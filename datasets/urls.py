from django.urls import path

from datasets import views

urlpatterns = [
    path("datasets", views.datasets, name="datasets"),
    path("datasets/new", views.new, name="dataset-new"),
    path("datasets/<int:pk>", views.dataset, name="dataset"),
    path("datasets/<int:pk>/upload", views.upload, name="dataset-upload"),
    path("datasets/<int:pk>/split", views.split, name="dataset-split"),
    path("datasets/<int:pk>/freeze", views.freeze, name="dataset-freeze"),
    path("datasets/<int:pk>/change", views.change, name="dataset-change"),
    path("datasets/<int:pk>/delete", views.delete, name="dataset-delete"),
    path("datasets/<int:pk>/imports/<int:import_id>/set-aside", views.refusals, name="dataset-refusals"),
]
