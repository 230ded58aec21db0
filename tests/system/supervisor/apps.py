"""Applications that several of the supervisor's tests deploy."""

from __future__ import annotations

TWO_FUNCTIONS = """
    import os
    from actorfaas import function

    @function
    def double(event):
        return event * 2

    @function
    def parent(event):
        return os.getppid()
"""

EXITS = """
    import os
    import signal
    import time
    from actorfaas import function

    @function
    def act(event):
        match event:
            case {"exit": status}:
                os._exit(status)
            case {"kill": number}:
                os.kill(os.getpid(), number)
            case {"sleep": seconds}:
                time.sleep(seconds)
            case {"abandon": command}:
                read, write = os.pipe()
                child = os.fork()
                if child == 0:
                    if command == "setsid":
                        os.setsid()
                    if (left := os.fork()) == 0:
                        time.sleep(300)
                    os.write(write, str(left).encode())
                    os._exit(0)
                os.waitpid(child, 0)
                return int(os.read(read, 20))
        return os.getpid()
"""
