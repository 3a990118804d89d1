"""Port mappings, roles and events: what is asked for, kept, and brought into force."""
