"""`python -m konomi`: the same as the command `konomi`."""

from konomi.cli import entry

entry()
