"""Step plan to text: views of ready strings, templates, and the runtime functions that are pasted."""
