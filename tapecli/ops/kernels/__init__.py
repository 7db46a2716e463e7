"""Numerical kernels on NumPy arrays: accurate to two units in the last place, without warnings."""
