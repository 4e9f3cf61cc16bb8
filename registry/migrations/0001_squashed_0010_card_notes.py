"""All of the app, for a database that has none of it yet; see docs/architecture.md, 'Migrations'."""

import common.identifiers
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from common.baseline import CreateModels
from registry.migrations._sql import KEEP_ALIAS_CHANGES, KEEP_EVIDENCE, KEY_OF_OUTCOME, OF_THEIR_MODEL, PROMOTION_OF_ITS_MODEL


class Migration(migrations.Migration):

    replaces = [
        ('registry', '0001_initial'),
        ('registry', '0002_merges'),
        ('registry', '0003_models_in_use'),
        ('registry', '0004_promotion'),
        ('registry', '0005_life_of_versions'),
        ('registry', '0006_logged_predictions'),
        ('registry', '0007_routes'),
        ('registry', '0008_serving'),
        ('registry', '0009_same_rows'),
        ('registry', '0010_card_notes'),
    ]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('datasets', '0006_checked_again'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        CreateModels(
            models=[
                migrations.CreateModel(
                    name='Model',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('name', models.CharField(max_length=200)),
                        ('recipe', models.CharField(max_length=50)),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('owner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='models', to=settings.AUTH_USER_MODEL)),
                        ('subject', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='models', to='datasets.subject')),
                    ],
                    options={
                        'ordering': ['-created_at', '-id'],
                        'constraints': [models.UniqueConstraint(fields=('owner', 'name'), name='model_name_once')],
                        'permissions': [('promote_model', 'Can promote versions and roll back'), ('approve_promotion', 'Can approve promotions and retraining'), ('override_promotion', 'Can promote against a policy, with a reason'), ('deploy_model', 'Can deploy versions'), ('see_predictions', 'Can see logged predictions')],
                    },
                ),
                migrations.CreateModel(
                    name='ModelVersion',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('number', models.PositiveIntegerField()),
                        ('status', models.CharField(choices=[('ready', 'Ready'), ('processing', 'Processing'), ('failed', 'Failed'), ('deleted', 'Deleted')], default='ready', max_length=12)),
                        ('config', models.JSONField(default=dict)),
                        ('metrics', models.JSONField(default=dict)),
                        ('artifact', models.JSONField(default=list)),
                        ('byte_count', models.BigIntegerField(default=0)),
                        ('source_job_id', models.BigIntegerField(null=True, unique=True)),
                        ('seed', models.BigIntegerField(default=0)),
                        ('code', models.JSONField(default=dict, help_text="TrainHub's version and commit.")),
                        ('environment', models.JSONField(default=dict, help_text='Python, libraries and device of the run.')),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('base_version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='registry.modelversion')),
                        ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('dataset_version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='model_versions', to='datasets.datasetversion')),
                        ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='registry.model')),
                        ('archived_at', models.DateTimeField(blank=True, help_text='Out of sight, and not to be used anew.', null=True)),
                        ('damage', models.CharField(blank=True, max_length=300)),
                        ('damaged_at', models.DateTimeField(blank=True, help_text='When its bytes were found to be others.', null=True)),
                    ],
                    options={
                        'ordering': ['-created_at', '-id'],
                        'constraints': [models.UniqueConstraint(fields=('model', 'number'), name='model_version_number_once'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'deleted'), _negated=True), ('artifact', []), _connector='OR'), name='deleted_version_has_no_files')],
                    },
                ),
                migrations.CreateModel(
                    name='Merge',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('status', models.CharField(choices=[('queued', 'Waiting'), ('running', 'Merging'), ('completed', 'Completed'), ('failed', 'Failed')], default='queued', max_length=10)),
                        ('message', models.CharField(blank=True, max_length=500)),
                        ('hint', models.CharField(blank=True, max_length=500)),
                        ('attempt', models.PositiveIntegerField(default=0)),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('started_at', models.DateTimeField(null=True)),
                        ('heartbeat_at', models.DateTimeField(null=True)),
                        ('finished_at', models.DateTimeField(null=True)),
                        ('adapter', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='merge', to='registry.modelversion')),
                        ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('version', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='merged_by', to='registry.modelversion')),
                    ],
                    options={
                        'ordering': ['-id'],
                        'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('status__in', ['completed', 'failed'])), models.Q(('finished_at__isnull', True), ('status__in', ['queued', 'running'])), _connector='OR'), name='merge_finished_has_time'), models.CheckConstraint(condition=models.Q(('adapter', models.F('version')), _negated=True), name='merge_makes_another_version')],
                    },
                ),
                migrations.CreateModel(
                    name='Alias',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('name', models.CharField(choices=[('champion', 'Champion'), ('challenger', 'Challenger')], max_length=12)),
                        ('since', models.DateTimeField()),
                        ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='aliases', to='registry.model')),
                        ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to='registry.modelversion')),
                    ],
                    options={
                        'verbose_name_plural': 'aliases',
                        'constraints': [models.UniqueConstraint(fields=('model', 'name'), name='alias_once_per_model'), models.CheckConstraint(condition=models.Q(('name__in', ['champion', 'challenger'])), name='alias_is_known')],
                    },
                ),
                migrations.CreateModel(
                    name='AliasChange',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('alias', models.CharField(choices=[('champion', 'Champion'), ('challenger', 'Challenger')], max_length=12)),
                        ('kind', models.CharField(choices=[('set', 'Named'), ('promoted', 'Promoted'), ('overridden', 'Promoted against its policy'), ('rolled_back', 'Rolled back'), ('removed', 'Taken away')], max_length=12)),
                        ('reason', models.CharField(blank=True, max_length=1000)),
                        ('evidence', models.JSONField(default=dict, help_text='What was known when it was decided: checks, tests, approvals.')),
                        ('at', models.DateTimeField()),
                        ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('after', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='alias_changes', to='registry.modelversion')),
                        ('before', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.modelversion')),
                        ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='alias_changes', to='registry.model')),
                    ],
                    options={
                        'ordering': ['-id'],
                        'indexes': [models.Index(fields=['model', 'alias', '-id'], name='alias_change_of_model')],
                        'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('after__isnull', True), ('kind', 'removed')), models.Q(models.Q(('kind', 'removed'), _negated=True), ('after__isnull', False)), _connector='OR'), name='alias_change_goes_to_a_version'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'overridden'), _negated=True), models.Q(models.Q(('reason', ''), _negated=True), ('actor__isnull', False)), _connector='OR'), name='alias_override_has_reason_and_actor')],
                    },
                ),
                migrations.CreateModel(
                    name='CardNotes',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('intended_use', models.TextField(blank=True, help_text='What it is for, as plain text.')),
                        ('limits', models.TextField(blank=True, help_text='What it is not for, and where it fails, as plain text.')),
                        ('changed_at', models.DateTimeField(auto_now=True)),
                        ('changed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='card_notes', to='registry.model')),
                        ('version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='card_notes', to='registry.modelversion')),
                    ],
                    options={
                        'verbose_name_plural': 'card notes',
                        'constraints': [models.UniqueConstraint(condition=models.Q(('version', None)), fields=('model',), name='card_notes_once_of_model'), models.UniqueConstraint(condition=models.Q(('version__isnull', False)), fields=('version',), name='card_notes_once_of_version')],
                    },
                ),
                migrations.CreateModel(
                    name='Export',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('format', models.CharField(choices=[('onnx', 'ONNX')], max_length=10)),
                        ('files', models.JSONField(default=list)),
                        ('difference', models.FloatField(help_text="The largest from the model's own outputs.", null=True)),
                        ('status', models.CharField(choices=[('queued', 'Waiting'), ('running', 'Exporting'), ('completed', 'Completed'), ('failed', 'Failed')], default='queued', max_length=10)),
                        ('message', models.CharField(blank=True, max_length=500)),
                        ('hint', models.CharField(blank=True, max_length=500)),
                        ('attempt', models.PositiveIntegerField(default=0)),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('started_at', models.DateTimeField(null=True)),
                        ('heartbeat_at', models.DateTimeField(null=True)),
                        ('finished_at', models.DateTimeField(null=True)),
                        ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='exports', to='registry.modelversion')),
                    ],
                    options={
                        'ordering': ['-id'],
                        'constraints': [models.UniqueConstraint(fields=('version', 'format'), name='export_once_of_version'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('status__in', ['completed', 'failed'])), models.Q(('finished_at__isnull', True), ('status__in', ['queued', 'running'])), _connector='OR'), name='export_finished_has_time')],
                    },
                ),
                migrations.CreateModel(
                    name='LogPolicy',
                    fields=[
                        ('model', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='log_policy', serialize=False, to='registry.model')),
                        ('keep', models.CharField(choices=[('none', 'Nothing'), ('hash', 'Its hash'), ('full', 'All of it')], default='hash', help_text='What is kept of the input.', max_length=4)),
                        ('share', models.FloatField(default=1.0, help_text='The share of predictions that is put down, from 0 to 1.')),
                        ('days', models.PositiveSmallIntegerField(default=90, help_text='For how many days they are kept.')),
                        ('changed_at', models.DateTimeField(auto_now=True)),
                        ('changed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name_plural': 'log policies',
                        'constraints': [models.CheckConstraint(condition=models.Q(('share__gte', 0), ('share__lte', 1)), name='log_policy_share_is_one'), models.CheckConstraint(condition=models.Q(('days__gte', 1), ('days__lte', 3650)), name='log_policy_days_in_range'), models.CheckConstraint(condition=models.Q(('keep__in', ['none', 'hash', 'full'])), name='log_policy_keep_is_known')],
                    },
                ),
                migrations.CreateModel(
                    name='Touched',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('since', models.DateTimeField(help_text='The beginning of the hour, or of the day, in UTC.')),
                        ('day', models.BooleanField(default=False, help_text='A day, whose hours have been reckoned.')),
                        ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ('version', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='registry.modelversion')),
                    ],
                    options={
                        'verbose_name_plural': 'touched',
                        'indexes': [models.Index(fields=['day', 'since', 'version'], name='touched_period')],
                    },
                ),
                migrations.CreateModel(
                    name='Route',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('salt', models.CharField(help_text="Makes the division of keys this route's own.", max_length=32)),
                        ('started_at', models.DateTimeField()),
                        ('ended_at', models.DateTimeField(blank=True, null=True)),
                        ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='routes', to='registry.model')),
                    ],
                    options={
                        'ordering': ['-id'],
                        'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('model',), name='route_one_open_per_model')],
                    },
                ),
                migrations.CreateModel(
                    name='RouteArm',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('name', models.CharField(max_length=50)),
                        ('control', models.BooleanField(default=False, help_text='The one that the others are compared with.')),
                        ('shadow', models.BooleanField(default=False, help_text='Its answers are logged and given to nobody.')),
                        ('weight', models.PositiveIntegerField(default=0, help_text='Its share of the keys, in parts of all weights.')),
                        ('route', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='arms', to='registry.route')),
                        ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='arms', to='registry.modelversion')),
                        ('dropped', models.PositiveBigIntegerField(default=0)),
                        ('failed', models.PositiveBigIntegerField(default=0)),
                        ('withdrawn_at', models.DateTimeField(blank=True, help_text='From then on the control answers its keys, and they count for nobody.', null=True)),
                    ],
                    options={
                        'ordering': ['id'],
                        'constraints': [models.UniqueConstraint(fields=('route', 'version'), name='arm_version_once'), models.UniqueConstraint(fields=('route', 'name'), name='arm_name_once'), models.UniqueConstraint(condition=models.Q(('control', True)), fields=('route',), name='arm_one_control'), models.CheckConstraint(condition=models.Q(models.Q(('control', False), ('shadow', True), ('weight', 0)), models.Q(('shadow', False), ('weight__gt', 0)), _connector='OR'), name='arm_answers_or_shadows'), models.CheckConstraint(condition=models.Q(('control', False), ('withdrawn_at', None), _connector='OR'), name='arm_control_stays')],
                    },
                ),
                migrations.CreateModel(
                    name='Prediction',
                    fields=[
                        ('id', models.UUIDField(default=common.identifiers.uuid7, editable=False, primary_key=True, serialize=False)),
                        ('at', models.DateTimeField()),
                        ('shadow_of', models.UUIDField(help_text='The prediction that was given; this one was not.', null=True)),
                        ('key', models.CharField(blank=True, help_text='SHA-256 of what the traffic is divided by.', max_length=64)),
                        ('group', models.CharField(blank=True, help_text='What figures may be told apart by.', max_length=100)),
                        ('input_hash', models.CharField(blank=True, help_text='SHA-256 of the input; empty where not kept.', max_length=64)),
                        ('input', models.JSONField(help_text='Null where the policy keeps none.', null=True)),
                        ('features', models.JSONField(default=dict)),
                        ('output', models.JSONField(null=True)),
                        ('label', models.CharField(blank=True, help_text='The class that was named.', max_length=200)),
                        ('score', models.FloatField(help_text='How sure it was of it; or the number that was predicted.', null=True)),
                        ('latency_ms', models.FloatField()),
                        ('error', models.CharField(blank=True, help_text='Why there is no output.', max_length=300)),
                        ('model', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='predictions', to='registry.model')),
                        ('subject', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='datasets.subject')),
                        ('user', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('version', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='predictions', to='registry.modelversion')),
                        ('arm', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='predictions', to='registry.routearm')),
                    ],
                    options={
                        'ordering': ['-id'],
                        'indexes': [models.Index(fields=['model', '-id'], name='prediction_of_model'), models.Index(fields=['version', '-id'], name='prediction_of_version'), models.Index(condition=models.Q(('arm__isnull', False)), fields=['arm', '-id'], name='prediction_of_arm'), models.Index(condition=models.Q(('shadow_of__isnull', False)), fields=['shadow_of'], name='prediction_shadows')],
                    },
                ),
                migrations.CreateModel(
                    name='Outcome',
                    fields=[
                        ('prediction', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='outcome', serialize=False, to='registry.prediction')),
                        ('group', models.CharField(blank=True, max_length=100)),
                        ('predicted_at', models.DateTimeField()),
                        ('at', models.DateTimeField(help_text='When it was told.')),
                        ('truth', models.JSONField(help_text='The class or number that was right.', null=True)),
                        ('correct', models.BooleanField(help_text='Of classes: whether the named one is the true one.', null=True)),
                        ('error', models.FloatField(help_text='Predicted less true; of a forecast by how much, on average.', null=True)),
                        ('value', models.FloatField(help_text='Feedback: 1 or 0, a rating, an amount.', null=True)),
                        ('arm', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='outcomes', to='registry.routearm')),
                        ('model', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='registry.model')),
                        ('user', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('version', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.modelversion')),
                        ('key', models.CharField(blank=True, help_text='As of its prediction.', max_length=64)),
                    ],
                    options={
                        'indexes': [models.Index(fields=['model', 'at'], name='outcome_of_model'), models.Index(fields=['version', 'at'], name='outcome_of_version'), models.Index(condition=models.Q(('arm__isnull', False)), fields=['arm', 'at'], name='outcome_of_arm'), models.Index(fields=['model', '-prediction'], name='outcome_by_prediction')],
                        'constraints': [models.CheckConstraint(condition=models.Q(('truth__isnull', False), ('value__isnull', False), _connector='OR'), name='outcome_says_something')],
                    },
                ),
                migrations.CreateModel(
                    name='PromotionPolicy',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('metric', models.CharField(blank=True, help_text="Empty: the recipe's key figure.", max_length=100)),
                        ('margin', models.FloatField(blank=True, help_text="How much worse than the champion a version may be, in the figure's own unit. Empty: not compared.", null=True)),
                        ('minimum_examples', models.PositiveIntegerField(default=0, help_text='Of the part that the figure was taken on.')),
                        ('same_held_out', models.BooleanField(default=True, help_text='Only figures of the same examples are compared.')),
                        ('needs_test', models.CharField(choices=[('none', 'None'), ('ab', 'An A/B test'), ('shadow', 'A shadow test')], default='none', max_length=8)),
                        ('approvals', models.PositiveSmallIntegerField(default=0, help_text='How many people have to agree.')),
                        ('changed_at', models.DateTimeField()),
                        ('changed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('model', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='promotion_policy', to='registry.model')),
                        ('role', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='auth.group')),
                    ],
                    options={
                        'verbose_name_plural': 'promotion policies',
                        'constraints': [models.CheckConstraint(condition=models.Q(('margin', None), ('margin__gte', 0), _connector='OR'), name='policy_margin_not_negative'), models.CheckConstraint(condition=models.Q(('approvals__lte', 2)), name='policy_approvals_in_range'), models.CheckConstraint(condition=models.Q(('needs_test__in', ['none', 'ab', 'shadow'])), name='policy_test_is_known')],
                    },
                ),
                migrations.CreateModel(
                    name='PromotionEvidence',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('kind', models.CharField(choices=[('ab', 'A/B test'), ('shadow', 'Shadow test'), ('rows', 'On the same held-out rows')], max_length=8)),
                        ('passed', models.BooleanField()),
                        ('evidence', models.JSONField(default=dict, help_text='What was found, as whoever made the test tells it.')),
                        ('at', models.DateTimeField()),
                        ('against', models.ForeignKey(help_text='The champion.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.modelversion')),
                        ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='promotion_evidence', to='registry.modelversion')),
                    ],
                    options={
                        'verbose_name_plural': 'promotion evidence',
                        'ordering': ['-id'],
                        'indexes': [models.Index(fields=['version', 'kind', '-id'], name='evidence_of_version')],
                    },
                ),
                migrations.CreateModel(
                    name='PromotionRequest',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('status', models.CharField(choices=[('open', 'Waiting for approval'), ('granted', 'Granted'), ('refused', 'Refused'), ('withdrawn', 'Withdrawn')], default='open', max_length=10)),
                        ('reason', models.CharField(blank=True, max_length=1000)),
                        ('checks', models.JSONField(default=list, help_text='As they were when it was asked, or made again at the end.')),
                        ('evidence', models.JSONField(default=dict)),
                        ('asked_at', models.DateTimeField()),
                        ('decided_at', models.DateTimeField(null=True)),
                        ('note', models.CharField(blank=True, help_text='Why it ended as it did.', max_length=1000)),
                        ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('change', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='request', to='registry.aliaschange')),
                        ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='promotion_requests', to='registry.model')),
                        ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='promotion_requests', to='registry.modelversion')),
                    ],
                    options={
                        'ordering': ['-id'],
                        'indexes': [models.Index(fields=['status', '-id'], name='promotion_by_status')],
                        'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'open')), fields=('model',), name='promotion_one_open_per_model'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('status', 'open')), models.Q(('decided_at__isnull', False), ('status__in', ['granted', 'refused', 'withdrawn'])), _connector='OR'), name='promotion_decided_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('change__isnull', False), ('status', 'granted')), models.Q(models.Q(('status', 'granted'), _negated=True), ('change__isnull', True)), _connector='OR'), name='promotion_granted_has_change')],
                    },
                ),
                migrations.CreateModel(
                    name='Approval',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('note', models.CharField(blank=True, max_length=1000)),
                        ('at', models.DateTimeField()),
                        ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('request', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='approvals', to='registry.promotionrequest')),
                    ],
                    options={
                        'ordering': ['id'],
                        'constraints': [models.UniqueConstraint(fields=('request', 'by'), name='approval_once_per_person')],
                    },
                ),
                migrations.CreateModel(
                    name='Deployment',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('alias', models.CharField(blank=True, choices=[('champion', 'Champion'), ('challenger', 'Challenger')], max_length=12)),
                        ('replicas', models.PositiveSmallIntegerField(default=1)),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('ended_at', models.DateTimeField(blank=True, help_text='Null: it is deployed.', null=True)),
                        ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deployments', to='registry.model')),
                        ('version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='deployments', to='registry.modelversion')),
                    ],
                    options={
                        'ordering': ['-id'],
                        'constraints': [models.CheckConstraint(condition=models.Q(('version__isnull', True), ('alias', ''), _connector='XOR'), name='deployment_of_version_or_alias'), models.CheckConstraint(condition=models.Q(('replicas__gte', 1), ('replicas__lte', 16)), name='deployment_replicas_in_range'), models.UniqueConstraint(condition=models.Q(('ended_at', None), ('version__isnull', False)), fields=('version',), name='deployment_once_of_version'), models.UniqueConstraint(condition=models.Q(('ended_at', None), models.Q(('alias', ''), _negated=True)), fields=('model', 'alias'), name='deployment_once_of_alias')],
                    },
                ),
                migrations.CreateModel(
                    name='Served',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('node', models.CharField(max_length=100)),
                        ('state', models.CharField(choices=[('loading', 'Loading'), ('ready', 'Ready'), ('unloaded', 'Unloaded'), ('failed', 'Failed')], max_length=10)),
                        ('message', models.CharField(blank=True, help_text="Why it can't be loaded.", max_length=500)),
                        ('hint', models.CharField(blank=True, max_length=500)),
                        ('replicas', models.JSONField(default=list, help_text='[{pid, ready, memory, requests}]')),
                        ('memory_bytes', models.BigIntegerField(default=0)),
                        ('requests', models.BigIntegerField(default=0, help_text='Since it was loaded.')),
                        ('restarts', models.PositiveIntegerField(default=0, help_text='How often a replica died since it was loaded.')),
                        ('heard_at', models.DateTimeField()),
                        ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='served', to='registry.modelversion')),
                    ],
                    options={
                        'verbose_name_plural': 'served',
                        'constraints': [models.UniqueConstraint(fields=('version', 'node'), name='served_once_per_node')],
                    },
                ),
            ],
        ),
        migrations.RunSQL(*OF_THEIR_MODEL),
        migrations.RunSQL(*KEEP_ALIAS_CHANGES),
        migrations.RunSQL(*PROMOTION_OF_ITS_MODEL),
        migrations.RunSQL(*KEEP_EVIDENCE),
        migrations.RunSQL(*KEY_OF_OUTCOME),
    ]
