"""What a network is made of: its cell, configuration and parameters, and the compiled objects that
work on them."""
