"""A reconciler killed at every step that it takes outside of its own memory, and what the next one makes of it.

``python -m tests.crashing [--all]``. A step is what another process could see: a file opened for writing, renamed or
removed, a fork, a signal, a reaped child. Steps are counted by an audit hook and by wrapping calls that raise no audit
event, in a process forked for the purpose: the code under test knows nothing of it.
"""
