"""Bundles on disk: a deployed archive becomes an extracted folder, an entry module and an interpreter.

Owns DATA_DIR/bundles and DATA_DIR/venvs. Starting processes from a bundle is left to `actorfaas.templates`.
"""
