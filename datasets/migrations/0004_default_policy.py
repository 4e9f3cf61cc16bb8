"""The policy of a new hub: enough to try training, to be replaced by an administrator."""

from django.db import migrations

from datasets.migrations._default_policy import make_default_policy


class Migration(migrations.Migration):
    dependencies = [("datasets", "0003_label_counts")]

    operations = [migrations.RunPython(make_default_policy, migrations.RunPython.noop)]
