# shellcheck shell=bash disable=SC2034
# Sourced: a range of ids that no other running test has, of any tree on this machine. A locked file stands for each, as in
# tests/support/id_slot.c. Sets id_base, id_count (ranges of 65536), id_end and slot_fd, and tells the daemons and programs
# that the test starts.

id_count=256
id_slots=/run/lock/cubit-tests # of the machine, not of the tree
mkdir -p "$id_slots"
for slot in {0..45}; do
	exec {slot_fd}>"$id_slots/$slot"
	! flock -n "$slot_fd" || break
	exec {slot_fd}>&-
done
id_base=$((0x40000000 + slot * id_count * 65536))
id_end=$((id_base + id_count * 65536))
export CUBIT_ID_BASE=$id_base CUBIT_ID_COUNT=$id_count # also of daemons and programs that a test starts
