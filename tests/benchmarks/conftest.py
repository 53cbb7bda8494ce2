"""Programs to be run by hand, some in environments of other tools: nothing here is a test to collect."""

collect_ignore_glob = ["*.py"]
