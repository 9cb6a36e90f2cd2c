"""What this process runs on: the build of the compiled core in use."""
