# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# php.sh - PHP's dba with its lmdb handler; see run.
version=$(apt-cache depends php-cli 2>/dev/null | sed -n 's/.*Depends: php\([0-9.]*\)-cli$/\1/p' |
	head -n 1)
packages="php-cli php$version-dba"
stores='*.lmdb'
batch=1
setup() { :; }
fill() { php "$here/php.php" fill; }
show() { php "$here/php.php" show; }
stream() { php "$here/php.php" stream "$1"; }
present() { php "$here/php.php" present; }
