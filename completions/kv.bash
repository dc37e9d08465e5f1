# SPDX-License-Identifier: BSD-3-Clause
# kv.bash - completion of kv's command line for bash: commands, options, names of databases, files.
# What there is is asked of kv itself.

_kv_ask() {
	"${COMP_WORDS[0]}" "$@" 2>/dev/null
}

# _kv_at - where the store stands on the command line: the first word that is a file.
_kv_at() {
	local i

	for ((i = 2; i < ${#COMP_WORDS[@]}; i++)); do
		[[ ${COMP_WORDS[i]} == -* || ! -f ${COMP_WORDS[i]/#\~/$HOME} ]] || break
	done
	printf '%s' "$i"
}

# _kv_after - how many operands stand between the store and the word that is completed; -1: it is
# not behind the store.
_kv_after() {
	local i n=0 at

	at=$(_kv_at)
	for ((i = at + 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] && continue
		[[ ${COMP_WORDS[i - 1]} == --* && ${COMP_WORDS[i - 1]} != *=* ]] || ((n++))
	done
	((at < COMP_CWORD)) || n=-1
	printf '%s' "$n"
}

# _kv_words - of the lines on the standard input those that begin as the word does, quoted.
_kv_words() {
	local line cur=${COMP_WORDS[COMP_CWORD]}

	while IFS= read -r line; do
		[[ $line == "$cur"* || $(printf %q "$line") == "$cur"* ]] &&
			COMPREPLY+=("$(printf %q "$line")")
	done
}

_kv_names() {
	local file=${COMP_WORDS[$(_kv_at)]}

	_kv_words < <(_kv_ask list "${file/#\~/$HOME}" | sed -n '2,$s/\t.*//p')
}

_kv() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]}

	COMPREPLY=()
	if ((COMP_CWORD == 1)) || [[ $command == help ]]; then
		_kv_words < <(_kv_ask help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
		return
	fi
	case $prev in
	--db) _kv_names ;;
	--pmem) _kv_words < <(printf '%s\n' auto dax file force) ;;
	--format) _kv_words < <(printf '%s\n' tsv mdb dir) ;;
	*)
		if [[ $cur == -* ]]; then
			_kv_words < <(_kv_ask help "$command" | sed -n 's/^  -/-/p' |
				sed 's/   .*//' | grep -o -e '--[a-z][a-z-]*' | sort -u)
		elif [[ $command == @(rename|copy|drop) && $(_kv_after) -eq 0 ]]; then
			_kv_names
		else
			compopt -o default 2>/dev/null # files
		fi
		;;
	esac
}
complete -F _kv kv
