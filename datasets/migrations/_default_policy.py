"""The policy of a new hub: enough to try training, to be replaced by an administrator."""

DEFAULT = {"responses": 2, "words": 50, "categories": 1}


def make_default_policy(apps, editor):
    policies = apps.get_model("datasets", "EligibilityPolicy")
    if not policies.objects.filter(is_default=True).exists():
        policies.objects.create(name="Development default", criteria=DEFAULT, is_default=True)
