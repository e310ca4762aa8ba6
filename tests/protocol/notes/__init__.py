"""Tests of free text in notes, and the generator of notes with planted identifiers that the bench uses as well."""
