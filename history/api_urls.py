from django.urls import path

from history import api, find_api, trend_api
from history.comparing import api as comparing

USER = "training-history/user/<int:user_id>"

urlpatterns = [
    path("training-history", api.RecordView.as_view(), name="api-history"),
    path(USER, api.UserView.as_view(), name="api-history-user"),
    path(f"{USER}/paginated", api.PaginatedView.as_view(), name="api-history-paginated"),
    path(f"{USER}/date-range", api.DateRangeView.as_view(), name="api-history-date-range"),
    path(f"{USER}/stats", api.StatsView.as_view(), name="api-history-stats"),
    path(f"{USER}/recent", api.RecentView.as_view(), name="api-history-recent"),
    path("training-history/compare", comparing.CompareView.as_view(), name="api-history-compare"),
    path("training-history/compare/curves", comparing.CurvesView.as_view(), name="api-history-compare-curves"),
    path(f"{USER}/find", find_api.FindView.as_view(), name="api-history-find"),
    path(f"{USER}/export", find_api.ExportView.as_view(), name="api-history-export"),
    path(f"{USER}/trends", trend_api.TrendsView.as_view(), name="api-history-trends"),
    path("training-history/views", find_api.SavedViewsView.as_view(), name="api-history-views"),
    path("training-history/views/<int:view_id>", find_api.SavedViewView.as_view(), name="api-history-view"),
    path("training-history/session/<uuid:session_id>", api.SessionView.as_view(), name="api-history-session"),
]
