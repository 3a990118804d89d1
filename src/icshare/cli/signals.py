"""Be interrupted in order: once, and only where everything can be taken back."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGINT = signal.SIGINT
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked us to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first signal that asks us to end into `Interrupted`, and pass over all later ones.

    So a second Ctrl-C does not cut off the taking back that the first one began, and neither does the hangup of the
    login that is lost when the network changes under it.

    Raises:
        Interrupted: A signal came.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        for one in _SIGNALS:
            signal.signal(one, _pass_over)  # not SIG_IGN, which the programs we start would inherit
        raise Interrupted(number)

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number, handler in previous.items():
            if handler is not signal.SIG_IGN:  # nohup
                signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _pass_over(_number: int, _frame: FrameType | None) -> None:
    """Do nothing."""
