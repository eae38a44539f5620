"""gunicorn's settings: one worker with one thread that keeps connections, on any free port of loopback.

The current folder is the server's own. When it listens, its port is in the file `port` there.
"""

import os

wsgi_app = "stack.server:serve"
bind = "127.0.0.1:0"
worker_class = "gthread"
workers = threads = 1
pidfile = "gunicorn.pid"
preload_app = True  # a fault in the project ends the start
graceful_timeout = 0  # the end of a spec waits for the end of the server
worker_tmp_dir = os.getcwd()


def when_ready(server):
    port = server.LISTENERS[0].sock.getsockname()[1]
    with open("port.new", "w", encoding="ascii") as file:
        file.write(str(port))
    os.rename("port.new", "port")
