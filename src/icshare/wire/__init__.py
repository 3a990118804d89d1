"""Protocols we speak ourselves, as bytes in and values out; no sockets here."""
