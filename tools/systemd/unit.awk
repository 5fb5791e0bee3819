# Makes an installed unit of one in this folder: puts the path of the programs in place of @BINDIR@, and switches on each
# line `#@N Key=value` where systemd is of version N or later. An older one would warn of a key that it does not know.
#
# usage: awk -v version=N -v bindir=DIR -f unit.awk UNIT
{
	if (match($0, /^#@[0-9]+ /)) {
		if (version + 0 < substr($0, 3, RLENGTH - 3) + 0)
			next
		$0 = substr($0, RLENGTH + 1)
	}
	gsub(/@BINDIR@/, bindir)
	print
}
