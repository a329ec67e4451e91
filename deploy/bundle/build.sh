#!/bin/sh
# build.sh PYTHON VERSION: dist/daq-VERSION-py3.11-x86_64.tar.gz out of the wheel in dist/ and those the lock names.
set -eu
python=$1 version=$2
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
name=daq-$version-py$minor-$(uname -m)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/wheels"
"$python" -m pip download -qq --disable-pip-version-check --only-binary :all: --require-hashes \
    -r requirements.lock --dest "$work/$name/wheels"
cp dist/*.whl "$work/$name/wheels/"
cp -r deploy/bundle/install.sh deploy/systemd/daq.service README.md README.zh-CN.md docs LICENSE "$work/$name/"
echo "$version" >"$work/$name/VERSION"
echo "$minor" >"$work/$name/PYTHON"
tar -C "$work" -czf "dist/$name.tar.gz" "$name"
echo "dist/$name.tar.gz"
