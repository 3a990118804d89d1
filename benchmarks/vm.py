"""The same measurements in a virtual machine: ``python -m benchmarks.vm [ARGUMENT...]``, or ``make bench-vm``.

Its kernel is Debian's, which has what the machine's own may lack, flowtables above all. Its processor is emulated, so
whatever takes time in there takes 20 to 40 times as much, and not everything equally: programs are hit harder than
what the kernel compiles, BPF. Only ratios count, and those of kernel paths among each other.

The arguments are those of ``python -m benchmarks``; without any, three repeats of ``paths``. What it writes ends up in
``benchmarks/results/vm``, or in the directory that ``--output`` names.
"""

import argparse
import compileall
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.vm import image, machine
from tests.vm.image import NoMachineError
from tests.vm.machine import Program

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results") / "vm"
LIMIT_SECONDS = 40 * 60
_INSIDE = "/var/lib/icshare-benchmarks"  # not below /run, which tools/isolate covers


def main(arguments: Sequence[str]) -> int:
    """Boot, measure, and return what the benchmarks return; 1 as well when there can be no machine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vm")
    parser.add_argument("what", nargs="*", help="as for python -m benchmarks (default: 3 paths)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where to write the results of paths")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, metavar="SECONDS", help="when to switch it off")
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        machine.check()
        tree = image.find_tree(Path(sys.prefix) / "vm")
        image.unpack_kernel(tree)
    except NoMachineError as error:
        sys.stderr.write(f"vm: no virtual machine: {error}\n")
        return 1
    for directory in ("src", "benchmarks"):
        compileall.compile_dir(ROOT / directory, quiet=2)
    argv = ["tools/isolate", sys.executable, "-m", "benchmarks", *(asked.what or ["3", "paths"]), "--output", _INSIDE]
    variables = {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ}
    program = Program(argv=argv, directory=ROOT, env={"LC_ALL": "C.UTF-8", **variables}, makes=_INSIDE)
    status = machine.run(tree, program, limit_seconds=asked.limit, results=asked.output)
    sys.stderr.write(f"vm: {time.monotonic() - started:.0f} s\n")
    return 1 if status is None else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
