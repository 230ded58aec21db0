"""The functions that the worker tests call: some behave, `misbehave` does in every way there is."""

from __future__ import annotations

HANDLERS = """
import asyncio, os, random, signal, socket, subprocess, sys, threading, time, uuid
from actorfaas import function

COUNT = 0
OPENED = open(__file__)
LOOPS = set()

@function
def echo(event): return event

@function
def count(event):
    global COUNT
    COUNT += 1
    return COUNT

@function
def misbehave(event):
    return globals()["do_" + event["do"]](event)

def do_raise(event): raise ValueError("wrong: " + "x" * event.get("size", 1))
def do_exit(event): sys.exit(event.get("code"))
def do_interrupt(event): raise KeyboardInterrupt
def do_os_exit(event): os._exit(9)
def do_kill(event): os.kill(os.getpid(), signal.SIGKILL)
def do_result(event): return {1, 2}
def do_deep(event):
    value = []
    for _ in range(100_000): value = [value]
    return value
def do_recurse(event): return do_recurse(event)
def do_large(event): return "x" * event["size"]
def do_close_connection(event):
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith("socket:"): os.close(int(name))
        except OSError: pass
    return 1
def do_close_all(event): os.closerange(0, 4096)
def do_chdir(event): os.chdir("/"); os.environ["CHANGED"] = "yes"
def do_where(event): return [os.getcwd(), os.environ.get("CHANGED")]
def do_replace_stdout(event):
    import io
    sys.stdout = io.StringIO(); print("lost")
def do_threads(event):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return threading.active_count()
def do_fork(event):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        print("child speaks")
        if event["then"] == "raise": raise ValueError("in the child")
        if event["then"] == "exit": sys.exit(5)
        return "from the child"
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def do_daemon(event):
    if os.fork() == 0:
        time.sleep(3600)
    return "left"
def do_raw(event):
    os.write(1, b"raw out\\n"); subprocess.run(["sh", "-c", "echo from sh; echo err >&2"], check=True)
def do_print(event):
    for _ in range(event["lines"]): print("x" * 99)
def do_descriptors(event):
    found = {}
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try: found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError: pass
    return found
def do_facts(event):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {
        "comm": open("/proc/self/comm").read().strip(),
        "oom": int(open("/proc/self/oom_score_adj").read()),
        "pgid": os.getpgid(0), "pid": os.getpid(), "ppid": os.getppid(),
        "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "sigchld": signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
        "threads": int(status["Threads"]), "opened": OPENED.readline(),
    }
def do_random(event):
    numbers = [random.random(), uuid.uuid4().hex, uuid.uuid1().hex, os.urandom(8).hex()]
    if event.get("numpy"): numbers.append(sys.modules["numpy"].random.random())
    return numbers

@function(memory_mb=64)
def hog(event):
    if event["how"] == "raise": raise MemoryError
    held = []
    while True: held.append(bytearray(1024 * 1024))

@function
async def waits(event):
    LOOPS.add(id(asyncio.get_running_loop()))
    await asyncio.sleep(0)
    if event == "raise": raise LookupError("async")
    return [event, len(LOOPS)]

@function
def numbers(event):
    for number in range(event["to"]):
        if number == event.get("fail_at"): raise ValueError("half way")
        yield number

@function
async def pieces(event):
    for piece in event["pieces"]:
        await asyncio.sleep(0)
        yield piece.encode() if event.get("bytes") else piece

@function
def remember(event, ctx):
    version = ctx.data.now.put(event["key"], event["value"], if_version=event.get("if_version"))
    return [version, ctx.data.get(event["key"]), ctx.request_id, ctx.execution_id, ctx.state]

@function
def gather(event, ctx):
    seen = [ctx.data.get("k"), ctx.data.put("k", event), ctx.data.get("k"), ctx.data.counter("n").add(2)]
    if event == "raise": raise ValueError("after the changes")
    return seen
"""
