"""The test database as it was, after a test with transactions of its own.

Django truncates each of some hundred tables with their indexes, and makes each permission anew. Here the tables that
have rows lose them, and what migrations and `migrate` have put there stays.
"""

from __future__ import annotations

from django.apps import apps
from django.db import connections, transaction

from datasets.migrations._default_policy import make_default_policy

KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def empty(alias: str) -> None:
    """Delete the rows of all models, whatever watches over them."""
    connection = connections[alias]
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    names = {table: connection.ops.quote_name(table) for table in sorted(tables)}
    looks = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {name})" for table, name in names.items())
    with transaction.atomic(alias), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        filled = [names[table] for (table,) in cursor.fetchall()]
        # Neither foreign keys nor the triggers that keep a trail from being changed.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for name in filled:
            cursor.execute(f"DELETE FROM {name}")
        cursor.execute("SET LOCAL session_replication_role = origin")
        make_default_policy(apps, None)
