"""What the examples of a run add up to, block by block; those of before are counted here."""

import django.db.models.deletion
from django.db import migrations, models


FILL = """
WITH made AS NOT MATERIALIZED (SELECT job_id, step / 500 AS block, kept, score, genre, winner, candidates
    FROM jobs_generatedexample),
genres AS (SELECT job_id, block, jsonb_object_agg(genre, number) AS found FROM (
    SELECT job_id, block, genre, count(*) AS number FROM made WHERE kept GROUP BY 1, 2, 3) AS one GROUP BY 1, 2),
wins AS (SELECT job_id, block, jsonb_object_agg(winner, number) AS found FROM (
    SELECT job_id, block, winner, count(*) AS number FROM made WHERE kept GROUP BY 1, 2, 3) AS one GROUP BY 1, 2),
scores AS (SELECT job_id, block, jsonb_object_agg(name, jsonb_build_array(number, scores)) AS found FROM (
    SELECT job_id, block, part->>'generator' AS name, count(*) AS number, sum((part->>'score')::float8) AS scores
    FROM made, jsonb_array_elements(candidates) AS part WHERE jsonb_typeof(part->'score') = 'number'
    GROUP BY 1, 2, 3) AS one GROUP BY 1, 2),
whole AS (SELECT job_id, block, count(*) AS made, count(*) FILTER (WHERE kept) AS kept,
    coalesce(sum(score) FILTER (WHERE kept), 0) AS score, min(score) FILTER (WHERE kept) AS least,
    max(score) FILTER (WHERE kept) AS most FROM made GROUP BY 1, 2)
INSERT INTO jobs_examplesum (job_id, block, made, kept, score, least, most, genres, wins, candidates)
SELECT job_id, block, made, kept, score, least, most, coalesce(genres.found, '{}'), coalesce(wins.found, '{}'),
    coalesce(scores.found, '{}')
FROM whole LEFT JOIN genres USING (job_id, block) LEFT JOIN wins USING (job_id, block)
    LEFT JOIN scores USING (job_id, block)
"""


def fill(apps, editor) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(FILL)


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0012_automatic_training'),
    ]

    operations = [
        migrations.CreateModel(
            name='ExampleSum',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('block', models.BigIntegerField(help_text='Steps of 500: number 0 holds those below 500.')),
                ('made', models.PositiveIntegerField()),
                ('kept', models.PositiveIntegerField()),
                ('score', models.DecimalField(decimal_places=1, help_text='The sum of those that were kept.', max_digits=12)),
                ('least', models.DecimalField(decimal_places=1, max_digits=3, null=True)),
                ('most', models.DecimalField(decimal_places=1, max_digits=3, null=True)),
                ('genres', models.JSONField(default=dict, help_text='Of those that were kept: {genre: how many}.')),
                ('wins', models.JSONField(default=dict, help_text='Of those that were kept: {generator: how many}.')),
                ('candidates', models.JSONField(default=dict, help_text='Of all: {generator: [how many have a score, their sum]}.')),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='jobs.job')),
            ],
            options={
                'ordering': ['job', 'block'],
                'constraints': [models.UniqueConstraint(fields=('job', 'block'), name='example_sum_once')],
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
