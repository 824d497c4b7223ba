"""Put into one archive what somebody needs who was not there: of one side, for itself or for its peer that asks.

Each source becomes a file `NODE/...`; one that fails, hangs or is not there becomes a line in `NODE/MANIFEST` instead.
No key ever gets in: the configuration is written out from what was parsed, key files are not read but to be searched
for, and anything that holds the pair key or a private key all the same is left out.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ovsha import config as configuration
from ovsha.collection_sources import sources
from ovsha.config import Config
from ovsha.drivers.files import COLLECTED
from ovsha.errors import ConfigError, DriverError

MOST = 64 << 20
"""Bytes of one file; what is longer is cut, and that is said."""

_PRIVATE = b"PRIVATE KEY-----"
Progress = Callable[[int, int, str], None]


class Archive:
    """An archive that is being written to `path` for its owner only; whole when this block ends, or not there."""

    def __init__(self, path: Path, secrets: tuple[bytes, ...]) -> None:
        self.path, self.names = path, list[str]()
        self._secrets = (*secrets, _PRIVATE)
        self._part = path.with_name(path.name + ".part")

    def __enter__(self) -> Archive:
        self._part.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz", compresslevel=6)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._tar.close()
                self._file.flush()
        finally:
            self._file.close()
            if kind is None:
                self._part.replace(self.path)
            else:
                self._part.unlink(missing_ok=True)

    def add(self, name: str, data: bytes) -> None:
        """Add a file.  Raises DriverError for one that holds a secret."""
        if any(secret in data for secret in self._secrets):
            raise DriverError("holds a key, and was left out")
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
        self._tar.addfile(member, io.BytesIO(data))
        self.names.append(name)

    def merge(self, other: Path, node: str) -> None:
        """Add what another side has collected, below its name.  Raises DriverError for an archive that is none."""
        try:
            with tarfile.open(other, "r:gz") as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    if file is not None and member.name.startswith(f"{node}/") and ".." not in member.name:
                        self.add(member.name, file.read())
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DriverError(f"the archive of {node} is damaged: {error}") from None


def fill(archive: Archive, config: Config, *, database: bool, progress: Progress) -> list[str]:
    """Add all of this side; return a line for each source that has nothing to give, with the reason."""
    wanted = sources(config, database=database)
    lines, missing = [], []
    for number, source in enumerate(wanted):
        progress(number, len(wanted), source.name)
        began = time.monotonic()
        try:
            size = sum(_add(archive, config, name, data) for name, data in source.read())
            lines.append(f"{source.name}: {size} bytes" if size else f"{source.name}: nothing there")
        except FileNotFoundError as error:
            lines.append(f"{source.name}: there is no {error.filename}")
        except (DriverError, ConfigError, OSError, ValueError, KeyError, TypeError) as error:
            missing.append(f"{source.name}: {' '.join(str(error).split())}")
        if time.monotonic() - began > 2.0:
            lines.append(f"  (took {time.monotonic() - began:.1f} s)")
    progress(len(wanted), len(wanted), "done")
    head = [f"collected on {config.node} at {time.strftime('%Y-%m-%dT%H:%M:%S%z')}", "", "there:"]
    text = [*head, *(f"  {line}" for line in lines), "", "missing:", *(f"  {line}" for line in missing)]
    archive.add(f"{config.node}/MANIFEST", ("\n".join(text) + "\n").encode())
    return missing


def _add(archive: Archive, config: Config, name: str, data: bytes) -> int:
    if len(data) > MOST:
        name, data = f"{name}.cut", data[:MOST]
    archive.add(f"{config.node}/{name}", data)
    return len(data)


def secrets_of(config: Config) -> tuple[bytes, ...]:
    """Return what must not be in an archive."""
    try:
        return (configuration.read_key(config.pair.key_file),)
    except ConfigError:
        return ()


def make_for_peer(config: Config, *, database: bool) -> dict[str, Any]:
    """Make the archive of this side where the peer can fetch it.  Raises DriverError."""
    directory = config.state_directory / COLLECTED
    path = directory / f"{config.node}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Archive(path, secrets_of(config)) as archive:
            missing = fill(archive, config, database=database, progress=lambda done, total, what: None)
    except OSError as error:
        raise DriverError(f"{directory}: an archive cannot be written: {error.strerror}") from None
    return {"name": path.name, "bytes": path.stat().st_size, "missing": missing}

