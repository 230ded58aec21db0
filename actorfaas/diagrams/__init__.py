"""Definitions as pictures: SVG that needs nothing else, and Mermaid text. Pure: a definition in, text out."""
