"""Read by every gunicorn that starts in this folder."""

control_socket_disable = True  # it would leave a socket in the user's home folder
