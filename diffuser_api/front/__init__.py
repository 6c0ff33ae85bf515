"""The web server: Waitress, with limits of its own for slow and silent clients.

One thread talks with all clients and a few threads run Django. A request reaches Django when it is there as a
whole, and an answer is taken from Django at once, so no thread of Django's ever waits for a network.
"""
