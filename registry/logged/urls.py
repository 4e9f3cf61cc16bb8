from django.urls import path

from registry.logged import views

urlpatterns = [
    path("models/<int:pk>/predictions", views.predictions, name="predictions"),
    path("models/<int:pk>/logging", views.logging, name="model-logging"),
    path("predictions/<uuid:pk>", views.prediction, name="prediction"),
    path("predictions/<uuid:pk>/outcome", views.outcome, name="prediction-outcome"),
]
