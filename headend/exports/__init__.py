"""Reads out: CSV, NEM12, Green Button and JSON. Each format is a function from stretches of intervals to text."""

from headend.exports.export import FORMATS, Format, export

__all__ = ["FORMATS", "Format", "export"]
