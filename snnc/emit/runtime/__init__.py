"""JAX functions whose source text is pasted into emitted files.

The compiler reads them and never imports them.
"""
