from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0008_serving'),
    ]

    operations = [
        migrations.AlterField(
            model_name='promotionevidence',
            name='kind',
            field=models.CharField(choices=[('ab', 'A/B test'), ('shadow', 'Shadow test'), ('rows', 'On the same held-out rows')], max_length=8),
        ),
    ]
