from django.urls import path

from registry.promotion import views

urlpatterns = [
    path("models/<int:pk>/names/part", views.in_use, name="model-names-part"),
    path("models/<int:pk>/promote", views.choose, name="model-promote"),
    path("models/<int:pk>/rollback", views.roll_back, name="model-rollback"),
    path("models/<int:pk>/names", views.history, name="model-names"),
    path("models/<int:pk>/names/<str:name>/remove", views.remove, name="model-name-remove"),
    path("models/<int:pk>/policy", views.rules, name="model-policy"),
    path("versions/<int:pk>/promote", views.promote, name="version-promote"),
    path("versions/<int:pk>/challenge", views.challenge, name="version-challenge"),
    path("promotions", views.promotions, name="promotions"),
    path("promotions/<int:pk>", views.promotion, name="promotion"),
    path("promotions/<int:pk>/<str:action>", views.decide, name="promotion-action"),
]
