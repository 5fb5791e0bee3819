/* A locked file stands for each slot, as in tests/lib/sandbox.sh: see flock(2). */
#include "tests/support/id_slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/idrange.h"

#define ID_SLOT_DIR "/run/lock/cubit-tests"
enum { ID_SLOTS = 46 };
static const uint32_t id_first = 0x40000000; /* below those of a Cubit that people use */

static _Noreturn void give_up(const char *what)
{
	printf("Bail out! ids: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint32_t id_slot_base(void)
{
	static uint32_t base;
	char path[64];

	if (base)
		return base;
	if (mkdir(ID_SLOT_DIR, 0755) < 0 && errno != EEXIST)
		give_up("mkdir " ID_SLOT_DIR);
	for (uint32_t slot = 0; slot < ID_SLOTS; slot++) {
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%u", ID_SLOT_DIR, slot);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			give_up(path);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			base = id_first + slot * ID_SLOT_COUNT * IDRANGE_SIZE;
			return base;
		}
		(void)close(fd);
	}
	give_up("every slot of " ID_SLOT_DIR);
}
