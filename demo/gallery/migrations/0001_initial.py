"""The Photo table."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """The Photo table."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Photo",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("title", models.CharField(max_length=80)),
                (
                    "image",
                    models.ImageField(upload_to="photos/", verbose_name="picture"),
                ),
            ],
            options={"ordering": ("-pk",)},
        ),
    )
