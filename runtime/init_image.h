/* cubit-init as a sealed memfd, made once per process from the copy inside our own program. */
#pragma once

struct error;

/*
 * Returns an owned descriptor to an executable memory file that nobody can change any more (F_SEAL_WRITE and the
 * rest, memfd_create(2)), or -errno. No sandbox ever executes a file of the host: CVE-2019-5736 has nothing to write to.
 * Runs in: monitor, cubit-sandbox, once at start.
 */
int init_image_open(struct error *err);
