"""`manage.py first_run`: what a newcomer finds: two sample data sets, and a job that trains on one of them."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from datasets.models import Dataset
from datasets.samples import ensure_samples
from jobs.creation import create_job
from jobs.models import Job


class Command(BaseCommand):
    help = "Load the sample data sets and start a first job, once, in a hub that is still empty."

    def handle(self, *args: Any, **options: Any) -> None:
        owner = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
        if os.environ.get("TRAINHUB_SAMPLES", "1") == "0" or owner is None or Job.objects.exists():
            return
        if Dataset.objects.exclude(owner=owner).exists():
            return
        ensure_samples(owner)
        text = Dataset.objects.filter(owner=owner, modality="text", status="active").order_by("pk").first()
        if text is None:
            self.stderr.write("The sample texts could not be loaded; see the dataset page for the reason.")
            return
        name = "First model: Python's language reference"
        create_job(owner, recipe="text-generation", dataset=text, name=name, idempotency_key="first-run")
