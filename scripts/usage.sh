# SPDX-License-Identifier: BSD-3-Clause
# usage.sh - the comment at the head of a script, from its name on, is its --help. Read by scripts
# with "." from the directory of this file.
#
#   usage_asked "$@"    answers -h and --help, as the first argument, and ends with status 0
#   usage_wrong TEXT    says what is wrong, then the usage, on the standard error; ends with status
#                       2
#   usage_none "$@"     for a script without arguments: answers --help, refuses everything else

# usage_print - from the third line of the script to the end of its comment
usage_print() {
	sed -n '3,$ { /^#/!q; s/^# \{0,1\}//; p; }' "$0"
}

usage_asked() {
	case ${1:-} in
	-h | --help)
		usage_print
		exit 0
		;;
	esac
}

usage_wrong() {
	echo "$(basename "$0"): $*" >&2
	usage_print >&2
	exit 2
}

usage_none() {
	usage_asked "$@"
	[ $# -eq 0 ] || usage_wrong "no argument is expected, '$1' is one"
}
