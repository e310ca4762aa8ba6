"""Salus: hospitals train one medical model together while every record stays at home."""

__version__ = "0.1.0"
