"""Triggers that count the items of each label as they come and go; those of before are counted here."""

from django.db import migrations

from datasets.migrations._sql import COUNT_LABELS

FILL = """
INSERT INTO datasets_labelcount (dataset_id, label, count)
SELECT dataset_id, label, count(*) FROM datasets_item GROUP BY dataset_id, label;
"""


class Migration(migrations.Migration):
    dependencies = [("datasets", "0002_data_worth_training_on")]

    operations = [
        migrations.RunSQL(*COUNT_LABELS),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
