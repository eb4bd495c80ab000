"""Syntax to model: names, units, shapes, stages, checks."""
