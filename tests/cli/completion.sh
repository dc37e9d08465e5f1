#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# completion.sh - what bash and zsh complete on kv's command line.
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/lib.sh"

t "a store" exits 0 kv create s.kv
for name in cities 'old cities' 'a\x00b'; do
	t "a database" exits 0 kv create s.kv --db "$name"
done
mkdir bin && ln -s "$KV" bin/kv
PATH=$PWD/bin:$PATH

complete() { # SHELL WORD... - what the last word may become, on one line
	complete_shell=$1
	shift
	if [ "$complete_shell" = bash ]; then
		bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kv
			printf "%s\n" "${COMPREPLY[@]}"' "$top/completions/kv.bash" "$@"
	else
		# The functions of the completion system, as they are called.
		# shellcheck disable=SC2016 # zsh expands
		zsh -f -c 'show() { print -l -- ${(M)@:#${words[CURRENT]}*} }
			compadd() { [[ $1 == -a ]] && show ${(P)2} || show $@ }
			_describe() { local -a l; l=(${(P)2}); show ${l%%:*} }
			_files() { print files }
			file=$1; shift; words=("$@"); CURRENT=$#; . $file' \
			zsh "$top/completions/_kv" "$@"
	fi | sort | tr '\n' ' ' | sed 's/^ *//; s/ *$//'
}
completes() { # SHELL WANTED WORD...
	completes_shell=$1
	completes_wanted=$2
	shift 2
	completes_got=$(complete "$completes_shell" "$@")
	[ "$completes_got" = "$completes_wanted" ] && return 0
	echo "got '$completes_got' instead of '$completes_wanted'"
	return 1
}
for shell in bash zsh; do
	command -v $shell >/dev/null || {
		skip $shell "not installed"
		continue
	}
	t "$shell: a command" completes $shell "count" kv cou
	t "$shell: help's" completes $shell "rename" kv help ren
	t "$shell: an option" completes $shell "--estimate" kv count s.kv --e
	t "$shell: of two on a line" completes $shell "--initial-size" kv create s.kv --ini
	t "$shell: none of another command" completes $shell "" kv count s.kv --rev
	t "$shell: an option's word" completes $shell "dax" kv count --pmem d
	t "$shell: a database" completes $shell "cities" kv scan s.kv --db c
	t "$shell: the one to drop" completes $shell "cities" kv drop s.kv c
	t "$shell: also behind options" completes $shell "cities" kv drop --max-size 1G s.kv c
	t "$shell: and behind a flag" completes $shell "cities" kv drop --empty s.kv c
	files=files
	[ $shell = zsh ] || files= # bash does that by itself
	t "$shell: but no second one" completes $shell "$files" kv drop s.kv cities c
	t "$shell: none of a store that is missing" completes $shell "$files" kv drop none.kv c
done
command -v bash >/dev/null && t "bash: quoted" completes bash 'old\ cities' kv scan s.kv --db old
command -v bash >/dev/null && t "bash: bytes" completes bash 'a\\x00b' kv scan s.kv --db a
each_option() { # every option of every command is completed
	for command in $(kv help | sed -n '/^  help /d; s/^  \([a-z][a-z]*\) .*/\1/p'); do
		for option in $(kv help "$command" | grep -o -e '^  [^ ].*   ' -e '^  .*[A-Z]$' |
			grep -o -e '--[a-z-]*'); do
			case " $(complete bash kv "$command" s.kv "$option") " in
			*" $option "*) ;;
			*)
				echo "$command $option"
				return 1
				;;
			esac
		done
	done
}
command -v bash >/dev/null && t "all options" each_option
each_command() { # SHELL - the commands are those of kv help, and no others
	kv help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | sort >commands
	[ -s commands ] && [ "$(complete "$1" kv "" | tr ' ' '\n')" = "$(cat commands)" ]
}
for shell in bash zsh; do
	command -v $shell >/dev/null && t "$shell: all commands" each_command $shell
done
finish
