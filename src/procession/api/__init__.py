"""How programs outside reach a running engine: today the local socket that the command line uses."""
