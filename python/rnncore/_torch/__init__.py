"""What the layers for PyTorch are made of."""
