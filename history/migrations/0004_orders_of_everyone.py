"""Administrators sort everyone's sessions by what each person sorts their own by."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('history', '0003_what_was_recorded_before'),
    ]

    operations = [
        # Trends by subject of one kind, outcome or model type are read from the index alone, too.
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('subject__isnull', False)), fields=['subject', '-started_at', '-id'], include=('user', 'kind', 'outcome', 'modality', 'recipe', 'metric', 'metric_value', 'quality_average'), name='session_by_subject'),
        ),
        migrations.RemoveIndex(
            model_name='session',
            name='session_of_subject',
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(fields=['name', 'id'], name='session_all_by_name'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('total_seconds__isnull', False)), fields=['total_seconds', 'id'], name='session_all_by_time'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('quality_average__isnull', False)), fields=['quality_average', 'id'], name='session_all_by_quality'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('examples_successful__isnull', False)), fields=['examples_successful', 'id'], name='session_all_by_examples'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('cost__isnull', False)), fields=['cost', 'id'], name='session_all_by_cost'),
        ),
    ]
