from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("jobs", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="job",
            name="failed_attempts",
            field=models.PositiveIntegerField(
                default=0, help_text="attempts in a row that made no progress"
            ),
        ),
    ]
