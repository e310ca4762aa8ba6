"""Free text in notes: what names a person is found and replaced."""
