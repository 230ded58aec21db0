"""What runs inside template and worker processes: loading user code, forking, calling handlers.

Everything here is multiplied by the number of live instances, so it imports the light part of the standard library,
msgpack, and orjson where there is one; asyncio only when a handler needs it.
"""
