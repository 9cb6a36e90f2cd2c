"""What this process runs on: the build of the compiled core, and the threads a call may use."""
