"""Sparsity: where derivatives can have nonzeros, and how few products find them."""

from tapecli.sparsity.pattern import Pattern, jacobian_pattern

__all__ = ["Pattern", "jacobian_pattern"]
