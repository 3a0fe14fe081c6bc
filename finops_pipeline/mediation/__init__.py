"""Mediation: raw log objects in, ``usage`` out, and an account of what became of every record."""
