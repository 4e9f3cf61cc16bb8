from django.urls import path

from history import views

urlpatterns = [
    path("history", views.history, name="history"),
    path("history/<int:pk>", views.session, name="session"),
]
