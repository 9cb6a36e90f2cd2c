"""Populations: what each member is trained on and how, the loop over members, and the history."""
