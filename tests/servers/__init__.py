"""Real servers for the tests, on free ports of loopback, each started at most once a run.

``python tests/servers/install.py`` installs them. Whoever needs one first starts it, in
whichever process of the run that is, and all others share it; ``tests/conftest.py`` begins the
run and ends all that was started in it. A test keeps apart from others by key prefix, database
or table name, never by a server of its own; only one that breaks its server has its own
(``running.own``).
"""
