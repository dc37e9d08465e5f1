# SPDX-License-Identifier: BSD-3-Clause
# lib.sh - what the suites share. Each suite is a script with two commands:
#   NAME.sh build       fetch and build in $WORK/NAME; ends with 77 and a reason where it cannot
#   NAME.sh test SIDE   run the tests with SIDE's library: "pass TEST" or "fail TEST" for each
# SIDE is stock, file or force: LMDB, or daxkv's library with that DAXKV_PMEM. Needs WORK, a
# directory outside the tree, and LIBRARY, daxkv's liblmdb.so.0.

name=$(basename "$0" .sh)
place=$WORK/$name
mkdir -p "$place"
log=$place/log

exec 3>&1 # where a suite says why it is left out

without() { # REASON...
	echo "skip: $name: $*" >&3
	exit 77
}

# need - the packages are there, or root's apt-get installs them.
need() { # PACKAGE...
	missing=
	for package; do
		case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
		"install ok installed") ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" -eq 0 ] || without "needs the packages$missing"
	# shellcheck disable=SC2086 # a list
	DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing \
		>>"$log" 2>&1 || without "the packages$missing cannot be had"
}

# source_tree - $tree is the unpacked source of a Debian source package. What lies in $WORK/NAME is
# taken, else it is fetched: with lists of source packages of the suites' own, so that nothing of
# the system changes. Where the package cannot be had, its upstream archive alone does, if that
# came.
source_tree() { # PACKAGE PATTERN
	! unpacked "$2" || return 0
	mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/empty"
	sources_list >"$WORK/apt/sources.list"
	cat >"$WORK/apt/apt.conf" <<-END
		Dir::Etc::SourceList "$WORK/apt/sources.list";
		Dir::Etc::SourceParts "$WORK/apt/empty";
		Dir::State::Lists "$WORK/apt/lists";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		APT::Sandbox::User "$(id -un)";
	END
	(
		cd "$place"
		export APT_CONFIG="$WORK/apt/apt.conf"
		apt-get -q update
		apt-get -q source "$1" && exit
		for archive in "$1"_*.orig.tar.*; do
			tar xf "$archive"
		done
	) >>"$log" 2>&1 || :
	unpacked "$2" || without "the source package $1 cannot be had ($log)"
}

unpacked() { # PATTERN
	for tree in "$place"/$1; do
		[ ! -d "$tree" ] || return 0
	done
	return 1
}

# sources_list - where the system gets its packages from, as places of source packages.
sources_list() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -n 's/^deb /deb-src /p'
	for file in /etc/apt/sources.list.d/*.sources; do
		[ ! -e "$file" ] || sed '$a\' "$file" && echo
	done | awk '
		function flush(   i, k, n, m, u, s) {
			n = split(field["URIs:"], u, " ")
			m = split(field["Suites:"], s, " ")
			parts = field["Components:"]
			if (field["Types:"] ~ /deb( |$)/)
				for (i = 1; i <= n; i++)
					for (k = 1; k <= m; k++)
						print "deb-src", key, u[i], s[k], parts
			split("", field)
			key = ""
		}
		/^[ \t]*$/ { flush(); next }
		/^#/ { next }
		/^Signed-By: *\// { key = "[signed-by=" $2 "]"; next }
		{ name = $1; $1 = ""; field[name] = $0 }
		END { flush() }' | sort -u
}

# use_side - the environment in which programs that are linked with liblmdb.so.0 run with SIDE's.
use_side() { # SIDE
	[ "$1" = stock ] || export DAXKV_PMEM="$1" LD_LIBRARY_PATH="${LIBRARY%/*}"
	mkdir -p "$place/$1"
	cd "$place/$1"
}

# suite - run the script's command: build, which runs once, or test.
suite() { # COMMAND SIDE
	case $1 in
	build)
		[ ! -e "$place/built" ] || return 0
		(set -e && build) >>"$log" 2>&1
		touch "$place/built"
		;;
	test) run "$2" ;;
	esac
}
