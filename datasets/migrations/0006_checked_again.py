"""A change while a check is at work has another one follow it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("datasets", "0005_cancelled_imports"),
    ]

    operations = [
        migrations.AddField(
            model_name="qualityrun",
            name="again",
            field=models.BooleanField(
                default=False, help_text="Something changed while it ran: another run follows it."
            ),
        ),
    ]
