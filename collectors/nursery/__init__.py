"""The nursery: one process with every driver imported, from which built-in collectors and senders are forked.

**Why.** A collector spends 0.25-0.7 s of CPU and 12-55 MB on its imports; forked from a process that has them it
costs milliseconds and the pages it writes to itself.

**One birth.** The reconciler sends a :class:`~collectors.nursery.wire.Birth` over ``<state-dir>/nursery.sock`` with
two descriptors, the child's lock and log, and closes its own of the lock. ``parent`` gives both to the ``spare``, which
was forked before; it is a ``child`` that took off everything of the parent, takes from ``nameplate`` the arguments and
environment that others read in /proc, and then is what ``python -m collectors <spec file>`` is. When it carries its
name, the parent answers with a pidfd of it and forks the next spare.
The answer is a hint: the reconciler finds the child by the same marks as one that was spawned.

**Sharing.** What a child writes to it copies, a page at a time. So the nursery first has a collector of each protocol
live for a moment (``rehearsal``), and leaves no free place among its own objects (``holes``).

**Deaths.** The nursery outlives the reconciler. It writes ``exits/<instance>.json`` before it reaps a child, so
that any later reconciler knows how it ended. When the nursery itself dies, its children live on. It ends when it has
had neither child nor reconciler for a while, or when its state directory is gone.

**Versions.** It greets with :func:`~collectors.nursery.wire.key`, taken before its imports. A reconciler that finds
another key on disk leaves that nursery to its children and begins a new one; so stale code is never forked.

The parent has one thread and starts none: a fork copies only the thread that calls it, with the others' locks held.
"""
