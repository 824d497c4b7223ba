"""Run the agent as a service: signals, pidfile, control socket, the wait.

SIGTERM and SIGINT end the agent and leave a healthy service standing; SIGHUP reads the
configuration anew, and a bad file keeps the old one.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from ovs.poller import POLLIN

from ovsha import __version__, atomic_file
from ovsha import config as configuration
from ovsha.agent import offline
from ovsha.agent.control import Control
from ovsha.agent.loop import Agent
from ovsha.agent.publish import Publisher
from ovsha.checks import survey
from ovsha.config import Config
from ovsha.errors import ConfigError, DriverError
from ovsha.host import systemd

log = logging.getLogger("ovsha")

_RESTART_ONLY = ("node", "pair", "run_directory", "state_directory", "control")


class Signals:
    """Turn signals into something a poller can wait for."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self._ear, bell = socket.socketpair()
        self._ear.setblocking(False)
        bell.setblocking(False)
        self._bell = bell
        signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def fileno(self) -> int:
        """Return what becomes readable when a signal has come."""
        return self._ear.fileno()

    def drain(self) -> None:
        """Make the descriptor quiet again."""
        try:
            while self._ear.recv(64):
                pass
        except BlockingIOError:
            return

    def _on_stop(self, number: int, frame: object) -> None:
        self.stop = True

    def _on_reload(self, number: int, frame: object) -> None:
        self.reload = True


def run(path: Path) -> int:
    """Run the agent with the configuration in `path` until it is told to stop; return the exit status.

    Raises ConfigError for the operator's mistakes, DriverError when the agent cannot start.
    """
    config = configuration.load(path)
    lines = _log()
    for warning in config.warnings:
        log.warning("%s", warning)
    signals = Signals()
    for directory in (config.state_directory, config.run_directory):
        _make(directory)
    pidfile = _claim(config)
    try:
        return _serve(path, config, lines, signals)
    finally:
        pidfile.unlink(missing_ok=True)


def _serve(path: Path, config: Config, lines: logging.Handler, signals: Signals) -> int:
    """Turn the loop until somebody wants it to stop; return the exit status."""
    agent = _agent(config)
    control = Control(agent, config)
    agent.switch.exchange.methods["status"] = offline.answer(control.document)
    told = Publisher()
    # What has been loaded lives as long as the agent: the collector need not walk it ever again.
    gc.freeze()
    whole = f"node {config.node} of pair {config.pair.id}" + (", standalone" if config.standalone else "")
    agent.recorder.event("start", f"ovsha started as {whole}", version=__version__)
    try:
        while not signals.stop:
            if signals.reload:
                signals.reload = False
                agent = _reload(path, agent, control)
            agent.turn()
            told.run(agent)
            control.run()
            poller = agent.wait()
            control.wait(poller)
            poller.fd_wait(signals.fileno(), POLLIN)
            poller.block()
            signals.drain()
            lines.flush()
        agent.say_goodbye()
        agent.recorder.event("stop", "ovsha stopped; the service stays as it is")
    finally:
        told.close()
        control.close()
        agent.close()
    return 0


def _reload(path: Path, agent: Agent, control: Control) -> Agent:
    """Return an agent with the new configuration, or the old one when the file is bad.

    A new agent is what a restart would bring, and that is made to be harmless.
    """
    agent.systemd.reloading(time.monotonic())
    try:
        config = configuration.load(path)
        fixed = next((k for k in _RESTART_ONLY if getattr(config, k) != getattr(agent.config, k)), None)
        if fixed is not None:
            raise ConfigError(f"{path}: {fixed} cannot be changed by a reload; restart the agent for that")
        configuration.pair_key(config)
    except ConfigError as error:
        log.error("reload refused, the old configuration stays: %s", error)
        agent.systemd.ready()
        return agent
    for warning in config.warnings:
        log.warning("%s", warning)
    agent.release()
    fresh = _agent(config)
    fresh.recorder.event("start", f"configuration read anew from {path}", version=__version__, reload=True)
    control.serve(fresh)
    fresh.switch.exchange.methods["status"] = offline.answer(control.document)
    return fresh


def _agent(config: Config) -> Agent:
    """Return an agent that answers what the peer's checks ask besides."""
    agent = Agent(config, time.monotonic)
    survey.register(agent.switch.exchange, config)
    return agent


def _claim(config: Config) -> Path:
    """Write our pid where ovs-appctl looks for it.  Raises DriverError when another agent runs."""
    pidfile = config.run_directory / "ovsha.pid"
    try:
        other = int(atomic_file.read(pidfile))
        running = "ovsha" in Path(f"/proc/{other}/cmdline").read_text() and other != os.getpid()
    except (OSError, ValueError):
        running = False
    if running:
        raise DriverError(f"{pidfile}: an agent runs already, with pid {other}; stop it first")
    try:
        part = pidfile.with_name(f"ovsha.pid.{os.getpid()}")
        part.write_text(f"{os.getpid()}\n")
        part.replace(pidfile)
    except OSError as error:
        raise DriverError(f"{pidfile}: cannot be written: {error}") from None
    return pidfile


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DriverError(f"{directory}: cannot be made: {error}") from None


def _log() -> logging.Handler:
    """Log one line an event, to the journal or to standard error; return where it goes."""
    handler = systemd.handler(os.environ, sys.stderr)
    root = logging.getLogger("ovsha")
    root.addHandler(handler)
    root.addHandler(systemd.TAIL)
    root.setLevel(os.environ.get("OVSHA_LOG", "INFO"))
    root.propagate = False
    return handler
