from django.urls import path

from history import views
from history.comparing import views as comparing

urlpatterns = [
    path("history", views.history, name="history"),
    path("history/compare", comparing.compare, name="history-compare"),
    path("versions/<int:pk>/changes", comparing.changes, name="version-changes"),
    path("history/<int:pk>", views.session, name="session"),
]
