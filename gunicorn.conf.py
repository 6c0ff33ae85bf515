"""Read by gunicorn wherever it is started in this folder: a client that falls silent is hung up on.

A thread that reads a request waits for its client, and a few silent ones would hold all threads. One that
sends a byte now and then still holds a thread: where strangers come, a proxy that buffers stands in front.
"""

import socket
import struct

SECONDS_OF_SILENCE = 10
control_socket_disable = True  # signals are enough, and two servers of one user would share it


def post_worker_init(worker):
    for listener in worker.sockets:  # on Linux, connections inherit it from the socket that accepts them
        limit = struct.pack("ll", SECONDS_OF_SILENCE, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
