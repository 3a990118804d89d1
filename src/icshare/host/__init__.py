"""The only code that reads or changes the machine."""
