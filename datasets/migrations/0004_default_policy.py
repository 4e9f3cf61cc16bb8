"""The policy of a new hub: enough to try training, to be replaced by an administrator."""

from django.db import migrations

DEFAULT = {"responses": 2, "words": 50, "categories": 1}


def make(apps, editor):
    policies = apps.get_model("datasets", "EligibilityPolicy")
    if not policies.objects.filter(is_default=True).exists():
        policies.objects.create(name="Development default", criteria=DEFAULT, is_default=True)


class Migration(migrations.Migration):
    dependencies = [("datasets", "0003_label_counts")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
