"""The decisions of the platform, pure: an event and `now` go in, instructions come out. No I/O, no clock."""
