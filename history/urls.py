from django.urls import path

from history import note_views, saved_view_views, trend_views, views
from history.comparing import views as comparing

urlpatterns = [
    path("history", views.history, name="history"),
    path("history/compare", comparing.compare, name="history-compare"),
    path("history/compare/ticked", comparing.ticked, name="history-compare-ticked"),
    path("versions/<int:pk>/changes", comparing.changes, name="version-changes"),
    path("history/<int:pk>", views.session, name="session"),
    path("history/<int:pk>/note", note_views.note, name="session-note"),
    path("history/<int:pk>/star", note_views.star, name="session-star"),
    path("history/trends", trend_views.page, name="history-trends"),
    path("history/views", saved_view_views.create, name="history-view-new"),
    path("history/views/<int:pk>", saved_view_views.view, name="history-view"),
    path("history/views/<int:pk>/delete", saved_view_views.delete, name="history-view-delete"),
]
