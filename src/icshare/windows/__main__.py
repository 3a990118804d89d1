"""``python -m icshare.windows PROGRAM [ARGUMENT...]``: what ``icshare run-windows`` becomes."""

import signal
import sys

WRONG_REQUEST = 2


def main() -> None:
    """Run the program named on the command line."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m icshare.windows PROGRAM [ARGUMENT...]")
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the program begins there is nothing to tell about
    from pathlib import Path  # noqa: PLC0415 (as said)

    from icshare.errors import InvalidRequestError  # noqa: PLC0415
    from icshare.windows.launch import run  # noqa: PLC0415

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(Path(sys.argv[1]), sys.argv[2:])
    except InvalidRequestError as error:
        sys.stderr.write(f"icshare: {error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(WRONG_REQUEST)


if __name__ == "__main__":
    main()
