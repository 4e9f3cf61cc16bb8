from django.urls import path

from accounts import trail_views, views

urlpatterns = [
    path("login", views.sign_in, name="login"),
    path("logout", views.sign_out, name="logout"),
    path("theme", views.theme, name="theme"),
    path("settings", views.settings, name="settings"),
    path("settings/password", views.change_password, name="password-change"),
    path("settings/tokens", views.create_token, name="token-create"),
    path("settings/tokens/<int:pk>/revoke", views.revoke_token, name="token-revoke"),
    path("settings/audit", trail_views.audit, name="audit"),
]
