"""Runs commands that may crash or hang, each in its own process group with its own time limit."""

import os
import signal
import subprocess

GRACE_SECONDS = 2  # between SIGTERM and SIGKILL


def run(command, seconds, log, **options):
    """Returns None if the command succeeds within `seconds`, otherwise a description of its failure. Its output
    goes to `log`, an open file."""
    try:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **options)
    except OSError as error:
        return f"does not start: {error}"
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        end(process)
        return f"stopped after {seconds:.0f} s"
    except BaseException:  # this process itself is being stopped
        end(process)
        raise
    if status == 0:
        return None
    return f"ended with signal {-status}" if status < 0 else f"ended with status {status}"


def end(process):
    """Ends the process and its descendants. A process that is stuck in the driver is abandoned."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(GRACE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            pass
