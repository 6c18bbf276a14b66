"""Readers of wheels and sdists that believe nothing an archive says of itself.

Standard library only, and little of it: the child processes of ``app.upload.inspection``
import this package alone, so its modules import one another relatively.
"""
