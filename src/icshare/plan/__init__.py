"""Decisions: what may be shared, what has to be done. Pure: no I/O, no clock."""
