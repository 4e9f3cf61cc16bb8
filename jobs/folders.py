"""Where a job's attempts work: specs, checkpoints, the artifact before it is stored."""

from pathlib import Path

from django.conf import settings


def work_folder(job_id: int) -> Path:
    """The folder of one job under TRAINHUB_HOME; exclusively its own."""
    return Path(settings.TRAINHUB_HOME) / "jobs" / str(int(job_id))
