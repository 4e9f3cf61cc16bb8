"""All of the app, for a database that has none of it yet; see docs/architecture.md, 'Migrations'."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from accounts.migrations._sql import SEAL
from common.baseline import CreateModels


class Migration(migrations.Migration):

    replaces = [
        ('accounts', '0001_initial'),
        ('accounts', '0002_audit_trail'),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        CreateModels(
            models=[
                migrations.CreateModel(
                    name='ApiToken',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('name', models.CharField(max_length=100)),
                        ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                        ('prefix', models.CharField(editable=False, help_text='First characters, to tell tokens apart.', max_length=12)),
                        ('password_digest', models.CharField(editable=False, max_length=64)),
                        ('created_at', models.DateTimeField(auto_now_add=True)),
                        ('last_used_at', models.DateTimeField(blank=True, null=True)),
                        ('expires_at', models.DateTimeField(blank=True, help_text='Empty: valid until revoked.', null=True)),
                        ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_tokens', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'API token',
                        'ordering': ['-created_at', '-id'],
                    },
                ),
                migrations.CreateModel(
                    name='SignInCount',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('key', models.CharField(help_text="SHA-256 of the account's name or the address.", max_length=64, unique=True)),
                        ('attempts', models.PositiveIntegerField()),
                        ('since', models.DateTimeField()),
                    ],
                ),
                migrations.CreateModel(
                    name='AuditEntry',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('place', models.BigIntegerField(help_text='In the chain; null until its commit.', null=True, unique=True)),
                        ('at', models.DateTimeField()),
                        ('actor_id_then', models.BigIntegerField(null=True)),
                        ('actor_name', models.CharField(blank=True, max_length=150)),
                        ('verb', models.CharField(max_length=60)),
                        ('kind', models.CharField(max_length=60)),
                        ('object_id', models.CharField(max_length=60)),
                        ('name', models.CharField(max_length=300)),
                        ('details', models.TextField(default='{}', help_text='JSON, as it was hashed.')),
                        ('previous_hash', models.CharField(blank=True, max_length=64)),
                        ('hash', models.CharField(blank=True, max_length=64)),
                    ],
                    options={
                        'verbose_name_plural': 'audit entries',
                        'ordering': ['-id'],
                        'indexes': [models.Index(fields=['kind', 'object_id', '-id'], name='audit_of_object'), models.Index(fields=['actor_id_then', '-id'], name='audit_of_actor')],
                    },
                ),
            ],
        ),
        migrations.RunSQL(*SEAL),
    ]
