"""The program ``icshare``."""

import gc
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path


def run() -> None:
    """Run as the program ``icshare``."""
    # Until a command has something to take back, Ctrl-C may end us at once: no traceback, not even while importing.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What a command makes lasts as long as it does; to look for garbage among it as often as Python does takes a tenth.
    gc.set_threshold(100_000)
    from icshare.cli.program import main
    from icshare.cli.session import Session

    with ExitStack() as opened:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their descriptors
            if getattr(sys, name) is None:  # closed by who started us
                setattr(sys, name, opened.enter_context(Path(os.devnull).open(mode, encoding="utf-8")))
        for name in ("stdout", "stderr"):
            getattr(sys, name).reconfigure(errors="backslashreplace")
        session = Session(terminal=sys.stdout.isatty(), interactive=sys.stderr.isatty())
        status = main(sys.argv[1:], session)
        try:
            sys.stdout.flush()
        except OSError:  # has been told about; the interpreter would do so again when it flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(status)


if __name__ == "__main__":
    run()
