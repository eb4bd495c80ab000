"""Model to step plan: equations become discrete updates, the graph becomes a schedule."""
