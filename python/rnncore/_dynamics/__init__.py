"""Networks that choose: how likely their choices are, and how they behave on their own."""
