"""Bring an earlier release of ovsha back from this clone's history, for a switch that was not upgraded yet."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST = "3eb7f09"
"""The commit of the release whose agents are in the field."""


def why_not(commit: str = FIRST) -> str:
    """Say why that release cannot be had here, "" when it can."""
    try:
        found = _git("cat-file", "-e", f"{commit}^{{commit}}")
    except OSError as error:
        return f"the release {commit} is in the history, and git does not run: {error.strerror}"
    return "" if found.returncode == 0 else f"the release {commit} is not in the history of this clone"


def extract(directory: Path, commit: str = FIRST) -> Path:
    """Put the package of that release into `directory`, which is returned, to be named in PYTHONPATH."""
    archive = _git("archive", commit, "ovsha")
    assert archive.returncode == 0, archive.stderr.decode()
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(directory)  # our own files, and Debian 12 knows no filter
    return directory


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = ("git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *words)
    return subprocess.run(command, capture_output=True, check=False)
