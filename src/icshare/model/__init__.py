"""Frozen values: what a host is, what is wanted of it. No I/O, no clock."""
