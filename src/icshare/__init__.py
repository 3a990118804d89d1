"""Internet Connection Sharing for Linux, on the kernel's own NAT."""

__version__ = "0.1.0"
