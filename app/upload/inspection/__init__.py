"""What a distribution archive really holds, found out in a limited child process.

::

    async with inspectors(count=2) as pool:
        inspection = await pool.inspect(path, filename=..., kind=..., profile="strict")

The rules are in ``docs/upload-archives.md``, the readers in ``app.upload.archives``.
"""

from app.upload.inspection.answers import Inspection
from app.upload.inspection.pool import Inspectors, inspectors

__all__ = ["Inspection", "Inspectors", "inspectors"]
