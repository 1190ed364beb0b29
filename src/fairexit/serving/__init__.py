"""A model behind HTTP: a page to try it on, and answers as JSON."""
