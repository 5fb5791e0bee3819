/*
 * Scoped clean-up for what libc owns. Each module adds the attribute for its own struct next to that struct.
 * All helpers keep errno, so that `return error_errno(err, errno, ...)` may stand between failure and scope end.
 *
 * Runs anywhere.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static inline void cleanup_free_(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void cleanup_file_(FILE **f)
{
	int saved = errno;

	if (*f)
		(void)fclose(*f); /* readers only; a writer checks its own fclose */
	errno = saved;
}

static inline void cleanup_dir_(DIR **d)
{
	int saved = errno;

	if (*d)
		(void)closedir(*d); /* nothing was written */
	errno = saved;
}

#define cleanup_free __attribute__((cleanup(cleanup_free_)))
#define cleanup_file __attribute__((cleanup(cleanup_file_)))
#define cleanup_dir  __attribute__((cleanup(cleanup_dir_)))
