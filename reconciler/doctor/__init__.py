"""What this machine, its network and its manifests can do, checked before it matters.

`host` looks at the machine, `reach` at devices and sinks; `finding` is what both give.
"""
