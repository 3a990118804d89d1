"""Run the tests of this directory in a virtual machine: ``python -m tests.vm [OPTION...] [PYTEST'S ARGUMENT...]``.

All of them in one machine and one process: under emulation Python is slower by a factor that begins at ten, and to
start it is the dearest part. So everything that can be done outside is done outside first: compiling the modules,
rewriting the tests' assertions, and finding out that an argument is wrong.
"""

import argparse
import compileall
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.vm import image, machine
from tests.vm.image import NoMachineError
from tests.vm.machine import Program

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 30 * 60

# How pytest runs in the machine. What it does not need it does not load: looking through the installed packages for
# plugins alone takes a second there. The conftest.py above this directory is left out, as it brings hypothesis.
_PYTEST = (
    "-B",
    "-m",
    "pytest",
    "--confcutdir=tests/vm",
    *("-p", "pytest_timeout"),
    *(
        word
        for name in ("cacheprovider", "logging", "doctest", "junitxml", "pastebin")
        for word in ("-p", f"no:{name}")
    ),
    "-o",
    "timeout=240",
)
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
_NO_TESTS = 5


def main() -> int:
    """Run, and return pytest's exit status; 1 as well when the machine crashed, 77 when there can be none."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of what takes the machine along
    options, arguments = _parser().parse_known_args()
    started = time.monotonic()
    try:
        machine.check()
        tree = image.find_tree(Path(sys.prefix) / "vm")
        image.unpack_kernel(tree)
    except NoMachineError as error:
        return _without_machine(error, required=options.require or os.environ.get("CI") == "true")
    if options.shell:
        program = Program(argv=("/bin/bash", "--login"), directory=ROOT, env=_environment(), interactive=True)
        return machine.run(tree, program, limit_seconds=24 * 3600, accelerator=options.accel) or 0
    chosen = [
        path for path in ((ROOT / argument.partition("::")[0]).resolve() for argument in arguments) if path.exists()
    ]
    if not chosen:
        arguments.append("tests/vm")
    elif not any(path.is_relative_to(Path(__file__).parent) for path in chosen):
        return _NO_TESTS
    compileall.compile_dir(ROOT / "src", quiet=2)
    python = [sys.executable, *_PYTEST]
    collected = _collect(python, arguments)
    if collected != 0:
        return collected
    program = Program(argv=(*python, *arguments), directory=ROOT, env={**_environment(), "ICSHARE_VM": "1"})
    status = machine.run(tree, program, limit_seconds=options.limit, accelerator=options.accel)
    sys.stderr.write(f"vm: {time.monotonic() - started:.0f} s\n")
    return 1 if status is None else status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm",
        description="Run tests in a virtual machine. What is not listed here goes to pytest.",
        allow_abbrev=False,
    )
    parser.add_argument("--shell", action="store_true", help="no tests: a shell in the machine, to look around")
    parser.add_argument(
        "--require", action="store_true", help="fail where there can be no machine; CI=true says so too"
    )
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, metavar="SECONDS", help="when to switch it off")
    parser.add_argument("--accel", default="tcg", help="qemu's accelerator (default: %(default)s)")
    return parser


def _without_machine(reason: NoMachineError, *, required: bool) -> int:
    sys.stderr.write(f"vm: {'error: ' if required else ''}no virtual machine: {reason}\n")
    return 1 if required else 77


def _environment() -> dict[str, str]:
    """Return the variables for a program in the machine, ``PATH`` aside."""
    ours = {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ}
    terminal = {"TERM": os.environ.get("TERM", "dumb") if sys.stdout.isatty() else "dumb"}
    return {**_ENVIRONMENT, **ours, **terminal, "COLUMNS": str(shutil.get_terminal_size().columns)}


def _collect(python: list[str], arguments: list[str]) -> int:
    """Collect the tests out here, which compiles them; return pytest's status, and show what it said when not 0."""
    writing = [word for word in python if word != "-B"]
    environment = {**os.environ, **_ENVIRONMENT, "ICSHARE_VM": "collect"}
    done = subprocess.run(
        [*writing, "--collect-only", "-q", *arguments], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    if done.returncode != 0:
        sys.stdout.write((done.stdout + done.stderr).decode(errors="replace"))
    if done.returncode == _NO_TESTS:
        sys.stderr.write("vm: no test was chosen, so no machine was started\n")
    return done.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
