"""The test database as it was, after a test with transactions of its own.

Django truncates each of some hundred tables with their indexes, and makes each permission anew. Here the tables that
have rows lose them, and what migrations and `migrate` have put there stays.
"""

from __future__ import annotations

from django.apps import apps
from django.db import connections, transaction

from datasets.migrations._default_policy import make_default_policy

KEPT = {"django_migrations", "django_content_type", "auth_permission"}
LARGE = 1024 * 1024  # bytes from which on a table is truncated: deleted rows would lie about, and be read over


def empty(alias: str) -> None:
    """Delete the rows of all models, whatever watches over them, and what the planner knew of them."""
    connection = connections[alias]
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT)
    name = connection.ops.quote_name
    looks = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {name(table)})" for table in tables)
    with transaction.atomic(alias), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s) AND pg_relation_size(oid) > %s",
            [tables, LARGE],
        )
        if large := [name(table) for (table,) in cursor.fetchall()]:
            cursor.execute(f"TRUNCATE {', '.join(large)} CASCADE")
        cursor.execute(" UNION ALL ".join(looks))
        filled = [name(table) for (table,) in cursor.fetchall()]
        # Neither foreign keys nor the triggers that keep a trail from being changed.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in filled:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("SELECT pg_clear_relation_stats('public', relname) FROM unnest(%s::text[]) relname", [tables])
        make_default_policy(apps, None)
