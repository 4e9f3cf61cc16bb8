from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ('performance', '0007_experiments'),
    ]

    operations = [
        migrations.AddField(
            model_name='driftmonitor',
            name='fresh',
            field=models.PositiveBigIntegerField(default=0, help_text='Since the last look, up to `counted`.'),
        ),
        migrations.AddField(
            model_name='driftmonitor',
            name='counted',
            field=models.UUIDField(null=True),
        ),
        migrations.AddIndex(
            model_name='driftmonitor',
            index=models.Index(condition=Q(('enabled', True), ('every_predictions__isnull', False)), fields=['id'], name='drift_monitor_counts'),
        ),
        migrations.AddIndex(
            model_name='driftcheck',
            index=models.Index(condition=Q(('moved__isnull', False), ('status', 'completed')), fields=['model', 'about', '-id'], name='drift_verdicts'),
        ),
        migrations.AddIndex(
            model_name='retraining',
            index=models.Index(condition=Q(('job__isnull', False), ('status', 'failed')), fields=['job'], name='retraining_failed_job'),
        ),
        migrations.AlterField(
            model_name='retrainingpolicy',
            name='window',
            field=models.CharField(choices=[('all', 'All of the dataset'), ('days', 'Items of the last days'), ('items', 'The newest items'), ('since', "What came since the champion's data"), ('drift', 'What came since the drift began that started it')], default='all', max_length=5),
        ),
        migrations.RemoveConstraint(
            model_name='retrainingpolicy',
            name='retraining_window_has_count',
        ),
        migrations.AddConstraint(
            model_name='retrainingpolicy',
            constraint=models.CheckConstraint(condition=Q(('window__in', ['days', 'items']), ('window_count__gte', 1)) | Q(('window__in', ['all', 'since', 'drift']), ('window_count__isnull', True)), name='retraining_window_has_count'),
        ),
    ]
