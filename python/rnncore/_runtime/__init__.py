"""What this machine runs: the build of the compiled core in use."""
