"""`manage.py fetch_model <repository>`: a model of a public model hub becomes a base below the first model folder."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from registry import bases

# Weights that can't run code, and what describes them and their tokenizer. Never *.py, never pickles.
WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "README.md"]
SOURCE = "fetched.json"


class Command(BaseCommand):
    help = "Download a model's safetensors weights and tokenizer, at one fixed revision, into the first model folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("repository", help="such as 'organisation/model'")
        parser.add_argument("--revision", default="main", help="a branch, tag or commit; its commit is kept")

    def handle(self, *args: Any, repository: str, revision: str, **options: Any) -> None:
        if os.environ.get("TRAINHUB_MODEL_HUB") != "1":
            raise CommandError("Downloading models is switched off. Set TRAINHUB_MODEL_HUB=1 to allow it.")
        if not bases.roots():
            raise CommandError("There is no model folder. Name one in TRAINHUB_MODEL_FOLDERS.")
        target = bases.roots()[0] / repository.replace("/", "--")
        if target.exists():
            raise CommandError(f"{target} is there already. Remove it to fetch the model again.")
        scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            commit = _download(repository, revision, scratch)
            (scratch / SOURCE).write_text(json.dumps({"repository": repository, "commit": commit}) + "\n")
            if not any(scratch.rglob(f"*{bases.WEIGHTS}")):
                raise CommandError(f"{repository} has no safetensors weights; pickle files are never downloaded.")
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self.stdout.write(f"'{target.name}' can be started from now ({repository} at {commit[:12]}).")


def _download(repository: str, revision: str, folder: Path) -> str:
    """Fill the folder; the commit that was downloaded. CommandError when the model hub can't be reached."""
    try:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise CommandError("The package huggingface_hub is not installed: pip install huggingface_hub.") from error
    try:
        commit = HfApi().model_info(repository, revision=revision).sha
        snapshot_download(repository, revision=commit, local_dir=folder, allow_patterns=WANTED)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise CommandError(f"{repository} can't be downloaded: {error}") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return str(commit)
