"""Manifests and git: commits of a branch as the source (`--git`), or the revision a directory of manifests is at.

`remote` names a repository, `source` picks the reader for it or for a directory. `commands` runs git, `mirror` keeps
what was fetched, `checkout` writes commits out for programs, `reader` follows a branch, `commits` reads any two for a
comparison, `worktree` looks at the repository around a directory.
"""
