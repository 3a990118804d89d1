"""What the virtual machine boots: a kernel, and an archive with the first program that runs on it.

The tree of the environment (``tools/setup vm``) holds Debian's packages unpacked: ``/boot/vmlinuz-VERSION``, its
modules, a static busybox. Two things are made of it here:

* ``vmlinux``. qemu enters an uncompressed kernel directly (PVH), which saves the firmware and, under emulation, seconds
  of decompression.
* An initramfs with busybox, the modules that the root file system needs, and a script that mounts it. Debian's own
  would look for disks and wait for udev, 8 s of it.

Sources: the kernel's ``Documentation/driver-api/early-userspace/buffer-format.rst`` (cpio "newc"), modules.dep(5).
"""

import lzma
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The root file system comes by 9p over virtio; changes go into memory; output leaves by a console without a UART.
MODULES = ("virtio_pci", "virtio_mmio", "9pnet_virtio", "9p", "overlay", "virtio_console", "virtio_rng")

_XZ = b"\xfd7zXZ\x00"
_ELF = b"\x7fELF"


class NoMachineError(Exception):
    """The virtual machine cannot be had here; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The unpacked packages.

    Attributes:
        root: Where they lie.
        version: The kernel's, as ``uname -r`` tells it.
    """

    root: Path
    version: str

    @property
    def vmlinux(self) -> Path:
        """The uncompressed kernel; see `unpack_kernel`."""
        return self.root / "boot" / f"vmlinux-{self.version}"


def find_tree(root: Path) -> Tree:
    """Return the tree at *root*.

    Raises:
        NoMachineError: It is not there, or not whole.
    """
    if not (root / ".complete").exists():
        raise NoMachineError(
            "its kernel and packages are not here: tools/setup vm fetches them, and says why it cannot"
        )
    (version,) = (entry.name for entry in (root / "lib/modules").iterdir())
    return Tree(root=root, version=version)


def unpack_kernel(tree: Tree) -> None:
    """Write `Tree.vmlinux` unless it is there.

    Raises:
        NoMachineError: The kernel image holds no kernel compressed by xz.
    """
    if tree.vmlinux.exists():
        return
    image = (tree.root / "boot" / f"vmlinuz-{tree.version}").read_bytes()
    at = image.find(_XZ)
    while at >= 0:
        try:
            kernel = lzma.LZMADecompressor().decompress(image[at:])
        except lzma.LZMAError:  # six bytes of something else that look like a header
            kernel = b""
        if kernel.startswith(_ELF):
            new = tree.vmlinux.with_suffix(f".{os.getpid()}")
            new.write_bytes(kernel)
            new.replace(tree.vmlinux)
            return
        at = image.find(_XZ, at + 1)
    raise NoMachineError(f"no kernel was found inside the image of {tree.version}")


def initramfs(tree: Tree, files: Mapping[str, bytes]) -> bytes:
    """Return the archive: busybox, the modules in ``/modules`` in the order of ``/modules/order``, and *files*."""
    modules = dict(_modules(tree))
    order = "".join(f"{name}\n" for name in modules).encode()
    entries: dict[str, bytes | None] = dict.fromkeys(
        ("bin", "dev", "lower", "modules", "new", "proc", "sys", "tree", "upper")
    )
    entries |= {"bin/busybox": (tree.root / "bin/busybox").read_bytes(), "modules/order": order}
    entries |= {f"modules/{name}": content for name, content in modules.items()}
    entries |= files
    return b"".join(_archive(entries))


def _modules(tree: Tree) -> Iterator[tuple[str, bytes]]:
    """Give name and content of every module needed, each after those that it needs itself."""
    directory = tree.root / "lib/modules" / tree.version
    needed = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        path, _, dependencies = line.partition(":")
        needed[path.rpartition("/")[2].partition(".")[0].replace("-", "_")] = [*reversed(dependencies.split()), path]
    given = set()
    for module in MODULES:
        for path in needed.get(module, ()):  # one that is not listed is built in
            if path not in given:
                given.add(path)
                content = (directory / path).read_bytes()
                yield (
                    path.rpartition("/")[2].removesuffix(".xz"),
                    lzma.decompress(content) if path.endswith(".xz") else content,
                )


def _archive(entries: Mapping[str, bytes | None]) -> Iterator[bytes]:
    """Give the pieces of a cpio archive: *entries* are programs by their path, None stands for a directory."""
    for number, (name, content) in enumerate(entries.items(), 1):
        mode = stat.S_IFDIR | 0o755 if content is None else stat.S_IFREG | 0o755
        yield _entry(number, mode, name, content or b"")
    yield _entry(0, 0, "TRAILER!!!", b"")


def _entry(number: int, mode: int, name: str, content: bytes) -> bytes:
    # inode, mode, uid, gid, links, mtime, size, device (2), device it is (2), length of the name, check sum (unused)
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(header) + _padded(content)


def _padded(piece: bytes) -> bytes:
    return piece + b"\0" * (-len(piece) % 4)
