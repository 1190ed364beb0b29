"""Tables as people have them: files in any common form, names, and groups made from values."""
