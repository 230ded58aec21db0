"""The workflow language, pure: ASL model, validation and engine. No I/O, no clock; nothing here knows actors."""
