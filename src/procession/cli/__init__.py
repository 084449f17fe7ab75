"""The command line: one file per noun. It shows and asks; every rule lives below."""
