"""The options of the object stores, one model each; importing them imports no vendor's library.

They are the settings groups (``PYPICLOUD_S3__REGION`` is ``S3Options.region``) and what a
backend's ``connect`` takes.
"""
