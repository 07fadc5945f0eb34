"""The command line: one module a group of commands; the only layer above `app`."""
