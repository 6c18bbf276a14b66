"""What the standards ask of an index, clause by clause, seen from outside over HTTP.

Nothing of the application is imported here: pages are read with the standard library's
parsers, requests are bytes on a socket, and the service is a process of its own.
"""
