"""The older JSON files as manifests, with a comment for everything that has no equal. Pure: texts in, texts out.

`files` tells the kinds of files apart and joins a process with its configuration, `processes` and `collectors` make
one manifest each, `registers` its tags, `text` is the YAML they are written in.

The old collectors handed an address to the wire as it stood and read one 16-bit word wherever `count` was 1. A
manifest says what was meant instead; a comment gives the line that reads what was read.
"""
