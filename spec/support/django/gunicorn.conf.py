"""gunicorn's settings: one worker with one thread that keeps connections, on a free port of loopback.

The current folder is used by this server only. When the server listens, its port is in the file `port` there.
"""

import os

wsgi_app = "stack.server:serve"
bind = "127.0.0.1:0"
worker_class = "gthread"
workers = threads = 1
pidfile = "gunicorn.pid"
preload_app = True  # if the project cannot be loaded, gunicorn ends
graceful_timeout = 0  # specs wait until the server has ended
worker_tmp_dir = os.getcwd()


def when_ready(server):
    port = server.LISTENERS[0].sock.getsockname()[1]
    with open("port.new", "w", encoding="ascii") as file:
        file.write(str(port))
    os.rename("port.new", "port")
