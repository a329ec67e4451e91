"""Collectors read devices into their outboxes; senders carry outboxes into sinks. One process for each.

**One register's walk.** ``spec`` freezes the manifest: the tag ``temperature`` at ``40001`` becomes word 0
of the area ``holding`` (``protocols/modbus.py`` knows the notation, ``tags`` the types). ``schedule`` says in
which slots it is due; ``blocks`` puts the due tags of a device into few requests. ``poll`` sends them over
the link's one connection; ``decode`` makes values of the answered words. ``readings`` applies deadband and
quality and writes one line a block, stamped with the middle of its request. ``batch`` commits the lines of a
cycle to the ``outbox`` in one transaction; ``buffer`` keeps both within their limits. From there the ``sender`` of
each sink takes them: ``feed`` reads, ``taking`` chooses, ``cursors`` keep how far it is, ``delivery`` knows what the
answers of ``sinks`` ask for, ``letters`` hold what is refused for good, and ``audit`` says whether it all adds up.

What was read last is told on request only (``newest``); ``once`` makes one cycle for `daq read` and `daq probe`, and
``wire`` says which requests there will be.

A device that does not answer is told of in the report and in ``daq_quality``, and asked again; only a wrong
configuration ends a collector by itself. What a device refuses is narrowed down by ``quarantine``, so that one bad
address costs no other tag more than a cycle.

**A new protocol** is one new file in ``protocols/``, named as the manifest's ``type``: what
:class:`collectors.model.ProtocolFile` lists. It parses addresses, connects, reads one block and closes; it
raises :class:`~collectors.model.DeviceError` of the kind that says who failed. It knows nothing of schedules,
retries, quality or storage, and imports its driver only in ``connect``.

Protocols of one question and one answer at a time share ``protocols/exchange``, which has the socket; what is theirs
is a pure codec (``modbus_frames``, ``melsec_frames`` and ``melsec_answers``).

A protocol whose devices know their tags by name and send by themselves (OPC UA) offers what
:class:`collectors.session.SessionFile` lists instead: a source of samples. ``follow`` is its loop in place of
``poll``; schedule, ``readings``, outbox and report are the same.
"""
