"""The libraries that rnncore is compared with, one module each, and rnncore as one of them."""
