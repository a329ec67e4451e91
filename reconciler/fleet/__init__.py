"""More than one host on one repository: who runs what, and what each of them says.

A fleet file names the hosts::

    edge-1: {url: "http://10.0.0.11:8000", labels: {site: north}, token: {file: edge-1.token}}
    edge-2: {url: "http://10.0.0.12:8000", labels: {site: south}}

The labels are those each host's `daq run --label` has. Hosts know nothing of each other: every one of them takes from
the repository what its labels select.
"""
