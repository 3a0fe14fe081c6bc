"""Run a command and end it when whoever started this guard is gone, however that went.

Run by path in an interpreter of its own, ``python guard.py <pid file> <command> …``, so only the standard library may
be imported. The starter holds the other end of the guard's standard input and never writes: its end of file is the
order to stop, and the kernel gives that order for a starter that was killed.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

STOP_SECONDS = 10.0
"""The command may take that long to end by itself; then it is killed."""


def run(pid_file: Path, command: list[str]) -> int:
    """Run ``command`` to its end, or to the end of standard input; returns its exit code."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    pid_file.write_text(str(process.pid))

    def end_with_starter() -> None:
        while os.read(0, 1):  # unbuffered: a buffer's lock, held here, would spoil the guard's own end
            pass
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

    threading.Thread(target=end_with_starter, daemon=True).start()
    try:
        return process.wait()
    finally:
        pid_file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
