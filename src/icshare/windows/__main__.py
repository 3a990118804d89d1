"""``python -m icshare.windows PROGRAM [ARGUMENT...]``: what ``icshare run-windows`` becomes."""

import sys
from pathlib import Path

from icshare.errors import InvalidRequestError
from icshare.windows.launch import run

WRONG_REQUEST = 2


def main() -> None:
    """Run the program named on the command line."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m icshare.windows PROGRAM [ARGUMENT...]")
    try:
        run(Path(sys.argv[1]), sys.argv[2:])
    except InvalidRequestError as error:
        sys.stderr.write(f"icshare: {error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(WRONG_REQUEST)


if __name__ == "__main__":
    main()
