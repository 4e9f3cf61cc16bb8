"""A new database is made by baselines, an older one goes on through the chain, and both end as the same."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from jobs import membership
from trainhub.management.commands import prepare

ROOMS = ("accounts", "datasets", "registry", "jobs", "history", "performance")

# What PostgreSQL knows of a schema, each by its name.
KNOWN = {
    "relations": "SELECT relname, relkind, relpersistence, reloptions FROM pg_class WHERE {public} = relnamespace",
    "columns": """
        SELECT relname, attname, format_type(atttypid, atttypmod), attcollation, attnotnull, attidentity, attgenerated,
            pg_get_expr(adbin, adrelid), row_number() OVER (PARTITION BY relname ORDER BY attnum) AS place
        FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid LEFT JOIN pg_attrdef ON adrelid = attrelid
            AND adnum = attnum
        WHERE {public} = relnamespace AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE {public} = connamespace""",
    "indexes": "SELECT pg_get_indexdef(oid) FROM pg_class WHERE {public} = relnamespace AND relkind IN ('i', 'I')",
    "triggers": """
        SELECT pg_get_triggerdef(pg_trigger.oid), tgenabled FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
        WHERE {public} = relnamespace AND NOT tgisinternal""",
    "functions": "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE {public} = pronamespace",
    "sequences": """
        SELECT seqrelid::regclass::text, seqtypid::regtype::text, seqstart, seqincrement, seqmin, seqmax, seqcache,
            seqcycle FROM pg_sequence JOIN pg_class ON seqrelid = pg_class.oid WHERE {public} = relnamespace""",
    "types": "SELECT typname, typtype FROM pg_type WHERE {public} = typnamespace",
    "extensions": "SELECT extname, extversion FROM pg_extension",
    "migrations": "SELECT app, name FROM django_migrations",
}
PUBLIC = "'public'::regnamespace"


@pytest.fixture
def empty_database(django_db_blocker):
    """`with empty_database(name)`: Django's own database is that new one."""

    @contextmanager
    def made(name: str):
        own = connections["default"]
        with django_db_blocker.unblock(), own._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            other = own.copy()
            other.settings_dict["NAME"] = name
            connections["default"] = other
            try:
                yield
            finally:
                connections["default"] = own
                other.close()
                cursor.execute(f"DROP DATABASE {name}")

    return made


def migrate(targets=None) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


def begin_the_chain() -> None:
    """The first migration of each room; from there Django has to take all the others, one by one."""
    executor = MigrationExecutor(connection)
    executor.loader = MigrationLoader(connection, replace_migrations=False)
    executor.migrate([baseline.replaces[0] for baseline in executor.loader.replacements.values()])


def found() -> dict[str, list[tuple]]:
    """All of the schema, and each row that migrations have put in, less its times."""
    with connection.cursor() as cursor:

        def rows(query: str) -> list[tuple]:
            cursor.execute(query)
            return sorted(cursor.fetchall(), key=str)

        schema = {name: rows(query.format(public=PUBLIC)) for name, query in KNOWN.items()}
        tables = sorted(set(connection.introspection.table_names(cursor)) - {"django_migrations"})
        kept = "to_jsonb(one) - '{created_at,updated_at}'::text[]"
        return schema | {table: rows(f'SELECT {kept} FROM "{table}" AS one') for table in tables}


def test_a_new_database_is_what_the_whole_chain_makes_of_one(empty_database):
    with empty_database("by_baseline"):
        migrate()
        new = found()
    with empty_database("by_chain"):
        begin_the_chain()
        migrate()
        old = found()
    assert len(new["triggers"]) > 5 and len(new["functions"]) > 5 and len(new["datasets_eligibilitypolicy"]) == 1
    for what in old.keys() | new.keys():
        assert new.get(what) == old.get(what), what


def chain() -> list[list[tuple[str, str]]]:
    """Every migration there was before the baselines, in two of the orders in which a hub can have got them."""
    loader = MigrationLoader(None, replace_migrations=False)
    last = [baseline.replaces[-1] for baseline in loader.replacements.values()]
    replaced = {one for baseline in loader.replacements.values() for one in baseline.replaces}
    orders = []
    for targets in (sorted(last), sorted(last, reverse=True)):
        plan = [key for target in targets for key in loader.graph.forwards_plan(target)]
        orders.append([key for key in dict.fromkeys(plan) if key in replaced])
    assert len(orders[0]) == len(orders[1]) == len(replaced)
    return orders


def stand_at(applied: list[tuple[str, str]], baselines_too: bool) -> None:
    """As if these of the rooms' migrations had run; with the baselines that they add up to, if they were noted."""
    recorded = MigrationRecorder.Migration.objects
    recorded.filter(app__in=ROOMS).delete()
    whole = MigrationLoader(None, replace_migrations=False).replacements.items()
    noted = [key for key, baseline in whole if baselines_too and set(baseline.replaces) <= set(applied)]
    recorded.bulk_create(MigrationRecorder.Migration(app=app, name=name) for app, name in [*applied, *noted])


@pytest.mark.parametrize("baselines_too", [False, True])
@pytest.mark.parametrize("order", [0, 1])
def test_a_database_anywhere_in_the_chain_has_all_of_the_rest_ahead(db, order, baselines_too):
    steps = chain()[order]
    for count in range(len(steps) + 1):
        stand_at(steps[:count], baselines_too)
        executor = MigrationExecutor(connection)
        executor.loader.check_consistent_history(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        ahead = [one for migration, _ in plan for one in migration.replaces or [(migration.app_label, migration.name)]]
        assert sorted(key for key in ahead if key in steps) == sorted(steps[count:]), steps[:count][-1:]


def test_a_database_at_the_end_of_the_chain_stands_at_the_baselines(db):
    stand_at(chain()[0], baselines_too=False)
    membership.found()
    membership.check()  # a machine of this release may join: the schema is the same
    prepare.migrate()
    noted = set(MigrationRecorder.Migration.objects.filter(app__in=ROOMS).values_list("app", "name"))
    assert set(MigrationLoader(None).replacements) <= noted
