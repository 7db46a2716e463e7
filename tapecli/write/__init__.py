"""From graphs back to formulas: as text of the formula language, as LaTeX, as Python."""
