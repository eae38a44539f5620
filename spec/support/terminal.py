"""Runs a shell command on a new terminal, and prints what the terminal showed.

    terminal.py COLUMNS LINE [PROMPT INPUT]...

When PROMPT has been shown since the last input, INPUT is typed (with escapes such as \\n and \\x03). The last line of
the output is "exit CODE echo on|off": the exit code (128 + N after signal N), and whether the terminal echoes what is
typed. After 30 seconds the command is killed.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

columns, line, rest = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
steps = list(zip(rest[::2], rest[1::2]))
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for descriptor in range(3):
        os.dup2(slave, descriptor)
    os.closerange(3, 100)
    os.execv("/bin/sh", ["sh", "-c", line])

screen, seen, status = b"", 0, None
deadline = time.monotonic() + 30
while True:
    if status is None:
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended == pid:
            status = code
        elif time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
    ready, _, _ = select.select([master], [], [], 0 if status is not None else 0.02)
    if ready:
        screen += os.read(master, 65536)
    elif status is not None:
        break
    if steps and screen.find(steps[0][0].encode(), seen) >= 0:
        typed = steps.pop(0)[1]
        seen = len(screen)
        os.write(master, typed.encode().decode("unicode_escape").encode("latin-1"))

echoes = termios.tcgetattr(slave)[3] & termios.ECHO
code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
sys.stdout.buffer.write(screen)
sys.stdout.buffer.write(b"\nexit %d echo %s\n" % (code, b"on" if echoes else b"off"))
