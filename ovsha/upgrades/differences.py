"""Compare what was saved before an upgrade with what is there after it, and put back what is missing."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ovsha import durable
from ovsha.errors import DriverError
from ovsha.upgrades import manifest, save
from ovsha.upgrades.manifest import File, Kind, Save


class State(Enum):
    """What has become of a file."""

    SAME = "same"
    MISSING = "missing"
    CHANGED = "changed"
    OWNER = "owner or mode"


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not as it was saved; `more` and `fewer` lines than before, 0 for what is no text."""

    file: File
    state: State
    more: int = 0
    fewer: int = 0

    @property
    def goes_back(self) -> bool:
        """It is put back: it is missing, and not for the new release to bring."""
        return self.state is State.MISSING and self.file.kind is not Kind.SCRIPT


def find(saved: Save) -> list[Difference]:
    """Return the files that are not as they were saved.  Raises DriverError when a copy is damaged."""
    found = (_look(saved, file) for file in saved.manifest.files)
    return [each for each in found if each.state is not State.SAME]


def lines(saved: Save, file: File) -> list[str]:
    """Return how a file differs from its copy, as diff -u writes it; of a key nothing is shown.

    Raises DriverError when one of the two cannot be read.
    """
    if file.kind is Kind.KEY:
        return []
    before, now = _text(save.content(saved, file)), _text(_present(file) or b"")
    return list(difflib.unified_diff(before, now, str(saved.copy(file)), file.path, lineterm=""))


def put_back(saved: Save, these: Iterable[Difference]) -> None:
    """Put files back with their owner and mode, each whole.  Raises DriverError in one line."""
    for each in these:
        file, path = each.file, Path(each.file.path)
        read = save.content(saved, file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with durable.whole(path, file.mode) as target:
                target.write(read)
                os.fchown(target.fileno(), file.uid, file.gid)
            if _look(saved, file).state is not State.SAME:
                raise DriverError(f"{path}: was put back and is not what was saved")
        except OSError as error:
            raise DriverError(f"{path}: cannot be put back: {error.strerror}") from None


def _look(saved: Save, file: File) -> Difference:
    now = _present(file)
    if now is None:
        save.content(saved, file)
        return Difference(file, State.MISSING)
    if manifest.digest(now) != file.digest:
        changed = [line for line in lines(saved, file)[2:] if line[:1] in "+-"]
        more = sum(line.startswith("+") for line in changed)
        return Difference(file, State.CHANGED, more, len(changed) - more)
    found = Path(file.path).stat()
    same = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (file.uid, file.gid, file.mode)
    return Difference(file, State.SAME if same else State.OWNER)


def _present(file: File) -> bytes | None:
    try:
        return Path(file.path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DriverError(f"{file.path}: cannot be read: {error.strerror}") from None


def _text(content: bytes) -> list[str]:
    try:
        return content.decode().splitlines()
    except UnicodeDecodeError:
        return []
