"""Sessions of before get what lists and trends read, and are added up day by day."""

from django.db import migrations

from engine.catalogue import RECIPES

OF_RECIPE = """
UPDATE history_session SET modality = %(modality)s,
    metric = CASE WHEN jsonb_typeof(metrics -> %(goal)s) = 'number' THEN %(goal)s ELSE '' END,
    metric_value = CASE WHEN jsonb_typeof(metrics -> %(goal)s) = 'number' THEN (metrics ->> %(goal)s)::float END
WHERE recipe = %(recipe)s
"""
OF_JOBS = """
UPDATE history_session AS s SET subject_id = j.subject_id,
    estimated_seconds = (j.estimate ->> 'seconds')::float,
    cost = s.total_seconds / 3600 * (j.estimate ->> 'devices')::float * (j.estimate ->> 'price')::float,
    currency = CASE WHEN s.total_seconds IS NOT NULL AND j.estimate ->> 'price' IS NOT NULL
        THEN left(coalesce(j.estimate ->> 'currency', ''), 10) ELSE '' END
FROM jobs_job AS j WHERE j.id = s.job_id
"""


def fill(apps, editor) -> None:
    from history import daily

    with editor.connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        for recipe in RECIPES.values():
            values = {"recipe": recipe.name, "modality": recipe.modality or "", "goal": recipe.goal}
            cursor.execute(OF_RECIPE, values)
        cursor.execute(OF_JOBS)
    daily.rebuild()


class Migration(migrations.Migration):
    dependencies = [("history", "0002_a_million_sessions")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
