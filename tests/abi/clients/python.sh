# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# python.sh - python3-lmdb; see run.
packages=python3-lmdb
stores='*/data.mdb'
batch=3
setup() { :; }
fill() { /usr/bin/python3 "$here/python.py" fill; }
show() { /usr/bin/python3 "$here/python.py" show; }
stream() { /usr/bin/python3 "$here/python.py" stream "$1" "$batch"; }
present() { /usr/bin/python3 "$here/python.py" present; }
