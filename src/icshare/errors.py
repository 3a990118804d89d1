"""Every error that icshare raises on purpose.

One class per *reaction* of the caller, not per module::

    IcshareError(message, *, hint=None)
    ├── InvalidRequestError(ValueError)    change the request; nothing was touched
    │   └── RefusedError                   ... for several reasons, all of them listed
    ├── ConflictError                      valid alone, clashes with this host; nothing was touched
    │   ├── AlreadyExistsError             ... there is one already
    │   └── GoneError                      ... what it is about no longer exists
    ├── NotSupportedError                  kernel or tool lacks a feature; the message names it
    ├── PrivilegeError(PermissionError)    a capability is missing; the message names it
    │   └── PolicyError                    ... the administrator forbids it
    ├── HostError(OSError)                 the machine refused a step
    └── VerificationError                  applied without error, yet the host differs from desired

Messages are lower case without a full stop and say which value and what was expected; ``hint`` says what to
do about it. A broken invariant of our own is an ``AssertionError``, never one of these.
"""

from collections.abc import Sequence


class IcshareError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        message: One line, lower case, no full stop.
        hint: What the user can do about it, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidRequestError(IcshareError, ValueError):
    """The request is wrong; change it. Nothing was touched."""


class ConflictError(IcshareError):
    """The request is valid alone but clashes with this host. Nothing was touched."""


class AlreadyExistsError(ConflictError):
    """There is one already, under the same key. Nothing was touched."""


class GoneError(ConflictError):
    """What the request is about no longer exists. Nothing was touched."""


class NotSupportedError(IcshareError):
    """The kernel or a tool lacks a feature that the message names."""


class PrivilegeError(IcshareError, PermissionError):
    """A capability is missing; the message names it."""


class PolicyError(PrivilegeError):
    """The administrator's policy forbids it, whoever asks. Nothing was touched."""


class HostError(IcshareError, OSError):
    """The machine refused a change or could not be read; the message carries the tool's own words."""


class VerificationError(IcshareError):
    """Everything was applied without error, yet the host is not what was asked for."""


class RefusedError(InvalidRequestError):
    """A sharing that must not be: every problem at once. Nothing was touched.

    Attributes:
        problems: ``(reason, text)`` pairs; the reason is for programs, the text a sentence for people.
    """

    def __init__(self, problems: Sequence[tuple[str, str]], *, hint: str | None = None) -> None:
        super().__init__("; ".join(text for _, text in problems), hint=hint)
        self.problems = tuple(problems)
