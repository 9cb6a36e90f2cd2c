"""Networks as models of Keras: written, and read."""
