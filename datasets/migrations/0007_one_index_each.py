"""An index of a foreign key alone goes where another one begins with it: each costs every row that is written."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("datasets", "0006_checked_again"),
    ]

    operations = [
        migrations.AlterField(
            model_name="item",
            name="dataset",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="items", to="datasets.dataset"
            ),
        ),
        migrations.AlterField(
            model_name="editeditem",
            name="edit",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="items", to="datasets.edit"
            ),
        ),
        migrations.AlterField(
            model_name="reviewvote",
            name="dataset",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="votes", to="datasets.dataset"
            ),
        ),
        migrations.AlterField(
            model_name="reviewvote",
            name="item",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="votes", to="datasets.item"
            ),
        ),
        migrations.AlterField(
            model_name="governancedecision",
            name="dataset",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="decisions", to="datasets.dataset"
            ),
        ),
        migrations.AlterField(
            model_name="governancedecision",
            name="item",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="decisions", to="datasets.item"
            ),
        ),
        migrations.AlterField(
            model_name="finding",
            name="dataset",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="findings", to="datasets.dataset"
            ),
        ),
        migrations.AlterField(
            model_name="finding",
            name="item",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="findings", to="datasets.item"
            ),
        ),
    ]
