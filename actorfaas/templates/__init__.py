"""The supervisor's side of templates and workers: their processes, control sockets, output and exits.

Owns the mechanisms. What to start, restart and report is decided in `actorfaas.actors.fw_supervisor`; what runs
inside the processes is in `actorfaas.worker`.
"""
