"""Changes that are short: no progress to show, but still whole or not at all when a signal comes."""

from collections.abc import Iterator
from contextlib import contextmanager

from icshare.cli.errors import CancelledError
from icshare.cli.signals import Interrupted, interruptible


@contextmanager
def changing(command: str) -> Iterator[None]:
    """Let a signal end the change in order.

    Args:
        command: The command that tells what is so afterwards.

    Raises:
        CancelledError: A signal came.
    """
    try:
        with interruptible():
            yield
    except Interrupted as interruption:
        raise CancelledError(f"interrupted; {command} tells what is so now", interruption.number) from interruption
