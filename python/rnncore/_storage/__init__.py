"""Files: networks and checkpoints as arrays with a header, in which nothing is executed."""
