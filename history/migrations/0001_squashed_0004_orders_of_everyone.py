"""All of the app, for a database that has none of it yet; see docs/architecture.md, 'Migrations'."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from common.baseline import CreateModels


class Migration(migrations.Migration):

    replaces = [
        ('history', '0001_initial'),
        ('history', '0002_a_million_sessions'),
        ('history', '0003_what_was_recorded_before'),
        ('history', '0004_orders_of_everyone'),
    ]

    initial = True

    dependencies = [
        ('datasets', '0006_checked_again'),
        ('jobs', '0008_searches'),
        ('registry', '0002_merges'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        CreateModels(
            models=[
                migrations.CreateModel(
                    name='Session',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('session_id', models.UUIDField(default=uuid.uuid4, unique=True)),
                        ('kind', models.CharField(choices=[('training', 'Training'), ('generation', 'Generation')], default='training', max_length=12)),
                        ('name', models.CharField(blank=True, max_length=200)),
                        ('recipe', models.CharField(blank=True, max_length=50)),
                        ('outcome', models.CharField(blank=True, help_text='completed, failed or cancelled', max_length=12)),
                        ('examples_requested', models.PositiveIntegerField(null=True)),
                        ('examples_successful', models.PositiveIntegerField(null=True)),
                        ('examples_failed', models.PositiveIntegerField(null=True)),
                        ('genres', models.JSONField(default=list)),
                        ('stored_in_memory', models.BooleanField(default=False)),
                        ('saved_to_database', models.BooleanField(default=False)),
                        ('saved_count', models.PositiveIntegerField(null=True)),
                        ('quality_average', models.DecimalField(decimal_places=1, max_digits=3, null=True)),
                        ('quality_min', models.DecimalField(decimal_places=1, max_digits=3, null=True)),
                        ('quality_max', models.DecimalField(decimal_places=1, max_digits=3, null=True)),
                        ('best_model', models.CharField(blank=True, max_length=200)),
                        ('performance_by_model', models.JSONField(default=dict)),
                        ('genre_distribution', models.JSONField(default=dict)),
                        ('total_seconds', models.FloatField(null=True)),
                        ('examples_before', models.PositiveIntegerField(null=True)),
                        ('examples_after', models.PositiveIntegerField(null=True)),
                        ('fine_tuning_triggered', models.BooleanField(default=False)),
                        ('metrics', models.JSONField(default=dict)),
                        ('request_digest', models.CharField(blank=True, max_length=64)),
                        ('started_at', models.DateTimeField()),
                        ('completed_at', models.DateTimeField()),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('job', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='sessions', to='jobs.job')),
                        ('model_version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='sessions', to='registry.modelversion')),
                        ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='training_sessions', to=settings.AUTH_USER_MODEL)),
                        ('cost', models.FloatField(help_text='By the price of a device hour when the job was made.', null=True)),
                        ('currency', models.CharField(blank=True, max_length=10)),
                        ('estimated_seconds', models.FloatField(help_text='What was expected when the job was made.', null=True)),
                        ('metric', models.CharField(blank=True, max_length=100)),
                        ('metric_value', models.FloatField(null=True)),
                        ('modality', models.CharField(blank=True, help_text="What its recipe's data is: text, image, …", max_length=10)),
                        ('note', models.TextField(blank=True)),
                        ('starred', models.BooleanField(default=False)),
                        ('subject', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='sessions', to='datasets.subject')),
                        ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list, size=None)),
                    ],
                    options={
                        'ordering': ['-started_at', '-id'],
                        'indexes': [models.Index(fields=['-started_at', '-id'], name='session_started'), models.Index(fields=['user', '-started_at', '-id'], name='session_user_started'), models.Index(fields=['user', 'outcome', '-started_at', '-id'], name='session_user_outcome'), models.Index(fields=['user', 'recipe', '-started_at', '-id'], name='session_user_recipe'), models.Index(fields=['user', 'modality', '-started_at', '-id'], name='session_user_modality'), models.Index(fields=['user', 'kind', '-started_at', '-id'], name='session_user_kind'), models.Index(condition=models.Q(('starred', True)), fields=['user', '-started_at', '-id'], name='session_starred'), models.Index(condition=models.Q(('tags', []), _negated=True), fields=['user', '-started_at', '-id'], name='session_tagged'), django.contrib.postgres.indexes.GinIndex(fields=['tags'], name='session_tags'), models.Index(fields=['user', 'name', 'id'], name='session_by_name'), models.Index(condition=models.Q(('total_seconds__isnull', False)), fields=['user', 'total_seconds', 'id'], name='session_by_time'), models.Index(condition=models.Q(('quality_average__isnull', False)), fields=['user', 'quality_average', 'id'], name='session_by_quality'), models.Index(condition=models.Q(('examples_successful__isnull', False)), fields=['user', 'examples_successful', 'id'], name='session_by_examples'), models.Index(condition=models.Q(('cost__isnull', False)), fields=['user', 'cost', 'id'], name='session_by_cost'), models.Index(condition=models.Q(('subject__isnull', False)), fields=['subject', '-started_at', '-id'], include=('user', 'kind', 'outcome', 'modality', 'recipe', 'metric', 'metric_value', 'quality_average'), name='session_by_subject'), models.Index(fields=['name', 'id'], name='session_all_by_name'), models.Index(condition=models.Q(('total_seconds__isnull', False)), fields=['total_seconds', 'id'], name='session_all_by_time'), models.Index(condition=models.Q(('quality_average__isnull', False)), fields=['quality_average', 'id'], name='session_all_by_quality'), models.Index(condition=models.Q(('examples_successful__isnull', False)), fields=['examples_successful', 'id'], name='session_all_by_examples'), models.Index(condition=models.Q(('cost__isnull', False)), fields=['cost', 'id'], name='session_all_by_cost')],
                        'constraints': [models.CheckConstraint(condition=models.Q(('completed_at__gte', models.F('started_at'))), name='session_ends_after_start')],
                    },
                ),
                migrations.CreateModel(
                    name='SessionDay',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('day', models.DateField()),
                        ('kind', models.CharField(max_length=12)),
                        ('recipe', models.CharField(blank=True, max_length=50)),
                        ('modality', models.CharField(blank=True, max_length=10)),
                        ('outcome', models.CharField(blank=True, max_length=12)),
                        ('metric', models.CharField(blank=True, max_length=100)),
                        ('currency', models.CharField(blank=True, max_length=10)),
                        ('sessions', models.BigIntegerField(default=0)),
                        ('fine_tuning', models.BigIntegerField(default=0)),
                        ('examples', models.BigIntegerField(default=0)),
                        ('saved', models.BigIntegerField(default=0)),
                        ('seconds', models.FloatField(default=0)),
                        ('cost', models.FloatField(default=0)),
                        ('priced', models.BigIntegerField(default=0)),
                        ('rated', models.BigIntegerField(default=0)),
                        ('quality', models.FloatField(default=0)),
                        ('measured', models.BigIntegerField(default=0)),
                        ('metric_sum', models.FloatField(default=0)),
                        ('estimated', models.BigIntegerField(default=0)),
                        ('estimated_seconds', models.FloatField(default=0)),
                        ('estimated_took', models.FloatField(default=0)),
                        ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'ordering': ['-day', 'id'],
                        'constraints': [models.UniqueConstraint(fields=('user', 'day', 'kind', 'recipe', 'modality', 'outcome', 'metric', 'currency'), name='session_day_once')],
                    },
                ),
                migrations.CreateModel(
                    name='SessionDayShare',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('day', models.DateField()),
                        ('what', models.CharField(choices=[('genre', 'Genre'), ('generator', 'Generating model')], max_length=10)),
                        ('name', models.CharField(max_length=200)),
                        ('sessions', models.BigIntegerField(default=0)),
                        ('count', models.BigIntegerField(default=0, help_text='Examples of the genre, or wins of the model.')),
                        ('rated', models.BigIntegerField(default=0)),
                        ('quality', models.FloatField(default=0, help_text="The sum of the sessions' averages.")),
                        ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'ordering': ['-day', 'id'],
                        'constraints': [models.UniqueConstraint(fields=('user', 'what', 'day', 'name'), name='session_share_once')],
                    },
                ),
                migrations.CreateModel(
                    name='SavedView',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('name', models.CharField(max_length=100)),
                        ('filters', models.JSONField(default=dict, help_text='As an address has them: name → text.')),
                        ('sort', models.CharField(blank=True, max_length=20)),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='history_views', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'ordering': ['name', 'id'],
                        'constraints': [models.UniqueConstraint(fields=('owner', 'name'), name='saved_view_name_once')],
                    },
                ),
            ],
        ),
    ]
