"""The indexes we fall back on, and what keeps strangers out.

``options`` are the settings, ``client`` asks one upstream, ``listings`` keeps what their pages
said, ``fetching`` and ``kept`` have the files, ``rules`` decides what may be handed out,
``upstreams`` is the whole of it. ``mirroring`` fetches before anybody asks, what ``wishes`` say;
``parcels`` carry over an air gap what is kept, ``tidying`` removes what nobody can get.
"""
