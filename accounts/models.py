"""Who may come in: API tokens, and a count of failed sign-ins. People themselves are Django's own users."""

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """A key for programs. Only its SHA-256 is kept; the key itself is shown once, when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False, help_text="First characters, to tell tokens apart.")
    # Ties the token to the password that was in force: once that is changed, the token is void.
    password_digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: valid until revoked.")

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class SignInCount(models.Model):
    """Attempts to sign in on one account, or from one address, since the window began."""

    key = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the account's name or the address.")
    attempts = models.PositiveIntegerField()
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.attempts} since {self.since:%H:%M:%S}"
