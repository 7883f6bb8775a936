#!/bin/sh
# Stands on an agent's PATH before the programs that it runs, under their names. Where /steps/armed holds the words of the
# program that is called ("before PATTERN" or "after PATTERN", a pattern of the shell's for name and arguments, or for what
# an LVM shell is told), it stops there, before or after the program has run, and says so in /steps/reached. The agent's
# image has few programs: a shell and the coreutils.
name=${0##*/}
PATH=${PATH#*:}
words="$name $*"
# A file in memory; opened anew it is read from its beginning.
[ $# -gt 0 ] || words="$name $(cat /proc/self/fd/0)"
if [ -e /steps/armed ] && read -r when pattern </steps/armed; then
	case $words in
	$pattern)
		[ "$when" = before ] || "$name" "$@" >/dev/null
		mv /steps/armed /steps/reached
		exec sleep 999999 # not what the tests' pods sleep: see goOn
		;;
	esac
fi
exec "$name" "$@"
