"""The language of processes: functions, operations and processes as typed Python, and how their values cross a hand-off.

A process is an `async def`; the operations it calls are declared on business functions. This room knows what is
declared and how values are written down and checked. Who runs a process, and where its history lies, it does not know.
"""
