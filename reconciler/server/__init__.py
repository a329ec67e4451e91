"""The read-only endpoint: HTTP and WebSocket answers from the last published snapshot, never from the plant.

``listener`` binds the address and runs uvicorn in a thread of its own, ``connection`` limits what one client may
take, ``guard`` decides who is answered, ``operations`` lists what can be asked (``openapi`` describes the same list),
``processes``, ``records`` and ``host`` answer, ``feed`` pushes changes over the WebSocket, ``page`` serves the live
page. Everything is made of ``views``: one snapshot, serialised at most once, and only when somebody asks.
"""
