"""Optimizers as pure (init, update) pairs written in ops, and the loop that runs them."""
