"""One command of `procession`, run by the server that has it imported: `python -I -S client.py SOCKET ARGUMENT …`.

It hands over its folder, environment and standard files, passes signals on, and ends as the command ends.
"""

import json
import os
import signal
import socket
import sys

server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
order = {
    "arguments": sys.argv[2:],
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "ignores_interrupt": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
}
text = json.dumps(order).encode() + b"\n"
sent = socket.send_fds(server, [text], [0, 1, 2])
server.sendall(text[sent:])
told = server.makefile()
pid = int(told.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, _: os.kill(pid, number))
status = int(told.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
