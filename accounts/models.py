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


class AuditEntry(models.Model):
    """One decision of a person, or of the hub by itself. See `accounts.audit`; a trigger refuses changes."""

    # Names and numbers as they were, not keys: an entry outlives what it tells of.
    place = models.BigIntegerField(null=True, unique=True, help_text="In the chain; null until its commit.")
    at = models.DateTimeField()
    actor_id_then = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150, blank=True)
    verb = models.CharField(max_length=60)
    kind = models.CharField(max_length=60)
    object_id = models.CharField(max_length=60)
    name = models.CharField(max_length=300)
    details = models.TextField(default="{}", help_text="JSON, as it was hashed.")
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["kind", "object_id", "-id"], name="audit_of_object"),
            models.Index(fields=["actor_id_then", "-id"], name="audit_of_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.verb}: {self.name}"
