from django.urls import path

from accounts import api, trail_api

urlpatterns = [
    path("auth/token", api.SignInView.as_view(), name="api-sign-in"),
    path("auth/tokens", api.TokensView.as_view(), name="api-tokens"),
    path("auth/tokens/<int:token_id>", api.TokenView.as_view(), name="api-token"),
    path("auth/me", api.MeView.as_view(), name="api-me"),
    path("audit", trail_api.AuditView.as_view(), name="api-audit"),
]
