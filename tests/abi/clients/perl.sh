# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# perl.sh - Perl's LMDB_File; see run.
packages=liblmdb-file-perl
stores='*/data.mdb'
batch=2
setup() { mkdir words stream; }
fill() { /usr/bin/perl "$here/perl.pl" fill; }
show() { /usr/bin/perl "$here/perl.pl" show; }
stream() { /usr/bin/perl "$here/perl.pl" stream "$1" "$batch"; }
present() { /usr/bin/perl "$here/perl.pl" present; }
