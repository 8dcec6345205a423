# SPDX-License-Identifier: BSD-2-Clause
"""Runs programs with a time limit; their output goes to a log."""

import atexit
import concurrent.futures
import os
import selectors
import signal
import subprocess
import time

from .report import LOGS, TOP


MAX_JOBS = 4
# What runs now; nothing may outlive this process.
_live = set()


class TooLong(Exception):
    """The time limit passed."""


def log_path(stage, name):
    """Where a test's output goes."""
    directory = os.path.join(LOGS, stage)
    os.makedirs(directory, exist_ok=True)
    return os.path.join(directory, name.replace("/", "-") + ".log")


def tail(path, lines=25):
    """The end of a log."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return "\n".join(file.read().splitlines()[-lines:])


def stop(process):
    """Ends a program and all that it started."""
    _live.discard(process)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


@atexit.register
def stop_all():
    """Ends whatever still runs."""
    for process in list(_live):
        stop(process)


def at_once(jobs):
    """Yields the result of each job, (function, arguments…), as it comes. Ends all that runs when one raises."""
    with concurrent.futures.ThreadPoolExecutor(min(MAX_JOBS, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(*job) for job in jobs]
        try:
            for done in concurrent.futures.as_completed(futures):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise


def lines_of(command, log, limit, cwd=TOP, env=None):
    """Yields each line as it is printed, and at last ("", status); raises TooLong. All goes to log as well."""
    environment = dict(os.environ, **(env or {}))
    deadline = time.monotonic() + limit
    with open(log, "wb") as file, subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True) as process:
        _live.add(process)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                rest = b""
                while True:
                    left = deadline - time.monotonic()
                    if left <= 0 or not selector.select(left):
                        raise TooLong(f"no end within {limit:.0f} s")
                    data = os.read(process.stdout.fileno(), 65536)
                    if not data:
                        break
                    file.write(data)
                    file.flush()
                    *whole, rest = (rest + data).split(b"\n")
                    for line in whole:
                        yield line.decode(errors="replace").rstrip("\r"), None
            if rest:
                yield rest.decode(errors="replace"), None
            yield "", process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise TooLong(f"no end within {limit:.0f} s") from error
        finally:
            stop(process)


def run(command, log, limit, cwd=TOP, env=None):
    """The reason why a program failed, or "" if it did not."""
    try:
        for _, status in lines_of(command, log, limit, cwd, env):
            if status is not None and status != 0:
                return f"exit status {status}\n{tail(log)}"
    except TooLong as error:
        return f"{error}\n{tail(log)}"
    except OSError as error:
        return str(error)
    return ""
