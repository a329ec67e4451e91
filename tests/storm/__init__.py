"""Everything is killed at any time; nothing may be lost, doubled, or signalled that is not ours.

``python -m tests.storm --kills N --seed S``. The real loop runs in a forked process. Doubled starts are shouted by the
programs themselves, which hold a lock per name for as long as any of their processes lives, and looked for from
outside by environment; decoys that look almost like ours record every signal they get.
"""
