"""Processes that may crash or hang: each in a group of its own, with a time of its own."""

import os
import signal
import subprocess

GRACE_SECONDS = 2  # for what is told to end


def run(command, seconds, log, **options):
    """None where the command ends well within so many seconds, else what became of it. log: an open file for
    what it says."""
    try:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **options)
    except OSError as error:
        return f"does not start: {error}"
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        end(process)
        return f"stopped after {seconds:.0f} s"
    except BaseException:  # somebody wants this process itself to end
        end(process)
        raise
    if status == 0:
        return None
    return f"ended with signal {-status}" if status < 0 else f"ended with status {status}"


def end(process):
    """Ends it and what it has started. One that the driver does not let go is left alone."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(GRACE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            pass
