import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0009_same_rows'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
    ]
