/*
 * A disk that can fill up and lose its power: a VFS of SQLite around the usual one, https://sqlite.org/vfs.html. It is
 * the default one from vfs_install() on, so the code under test does not know.
 *
 * Power: what is written to the database and its log goes to the real files at once (so that it can be read back), and
 * into a journal of ours. A sync moves the journal into a shadow copy "NAME.durable": that is what the disk would have.
 * At the cut the journal stops: from then on every write and sync fails, so nothing more can be acknowledged. Then
 * vfs_after_cut() makes the real files what a disk may hold: the shadow, and of what was not synced any sectors at
 * random.
 *
 * Used by one test at a time; the loop and the database thread both come here, hence the mutex.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VFS_SECTOR = 512, VFS_FILES = 4 };

struct vfs_write {
	struct vfs_write *next;
	sqlite3_int64 offset; /* or the new size of a truncation */
	int size;             /* -1: a truncation */
	unsigned char data[];
};

/* What we know of a path: outlives its open files. */
struct vfs_shadow {
	char path[512];
	bool is_there; /* not deleted */
	struct vfs_write *first, **last;
};

struct vfs_file {
	sqlite3_file base;
	struct vfs_shadow *shadow; /* NULL: a file whose fate does not matter */
	sqlite3_file *real;        /* behind this struct */
};

static struct {
	pthread_mutex_t mutex;
	sqlite3_vfs vfs, *real;
	sqlite3_io_methods methods;
	struct vfs_shadow shadows[VFS_FILES];
	bool keeps_journal, is_cut, is_full;
	long ops, cut_at; /* writes, syncs and truncations; the cut comes before that one. 0: never */
	long syncs, dropped, kept;
} vfs_state = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static inline sqlite3_file *vfs_real(sqlite3_file *f)
{
	return ((struct vfs_file *)f)->real;
}

/* One more change to the disk. Returns what it comes to; the mutex is held. */
static inline int vfs_count(int when_full)
{
	if (vfs_state.cut_at && ++vfs_state.ops >= vfs_state.cut_at)
		vfs_state.is_cut = true;
	if (vfs_state.is_cut)
		return SQLITE_IOERR;
	return vfs_state.is_full ? when_full : SQLITE_OK;
}

static inline void vfs_journal(struct vfs_file *f, const void *data, int size, sqlite3_int64 offset)
{
	struct vfs_write *w;

	if (!f->shadow || !vfs_state.keeps_journal)
		return;
	w = malloc(sizeof(*w) + (size_t)(size > 0 ? size : 0));
	if (!w)
		abort();
	w->next = NULL;
	w->offset = offset;
	w->size = size;
	if (size > 0)
		memcpy(w->data, data, (size_t)size);
	*f->shadow->last = w;
	f->shadow->last = &w->next;
}

/* A piece of one write reaches the shadow. */
static inline void vfs_apply(FILE *to, const struct vfs_write *w, bool is_torn)
{
	if (w->size < 0) {
		if (fflush(to) != 0 || ftruncate(fileno(to), (off_t)w->offset) != 0)
			abort();
		return;
	}
	for (int at = 0; at < w->size; at += VFS_SECTOR) {
		int n = w->size - at < VFS_SECTOR ? w->size - at : VFS_SECTOR;

		if (is_torn && rand() % 2) {
			vfs_state.dropped++;
			continue;
		}
		vfs_state.kept += is_torn;
		if (fseek(to, (long)(w->offset + at), SEEK_SET) != 0 ||
		    fwrite(w->data + at, 1, (size_t)n, to) != (size_t)n)
			abort();
	}
}

static inline FILE *vfs_open_shadow(const struct vfs_shadow *s)
{
	char path[600];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s.durable", s->path);
	f = fopen(path, "r+e");
	if (!f)
		f = fopen(path, "w+e");
	return f;
}

/* The journal reaches the disk, or, at the cut, whatever of it does. */
static inline void vfs_flush(struct vfs_shadow *s, bool is_torn)
{
	FILE *f;

	if (!s->first)
		return;
	f = vfs_open_shadow(s);
	if (!f)
		abort();
	while (s->first) {
		struct vfs_write *w = s->first;

		s->first = w->next;
		if (!is_torn || w->size >= 0 || rand() % 2)
			vfs_apply(f, w, is_torn);
		free(w);
	}
	s->last = &s->first;
	if (fclose(f) != 0)
		abort();
}

static inline void vfs_forget(struct vfs_shadow *s)
{
	while (s->first) {
		struct vfs_write *w = s->first;

		s->first = w->next;
		free(w);
	}
	s->last = &s->first;
	s->is_there = false;
}

static inline int vfs_close(sqlite3_file *f)
{
	sqlite3_file *real = vfs_real(f);

	return real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
}

static inline int vfs_read(sqlite3_file *f, void *data, int size, sqlite3_int64 offset)
{
	return vfs_real(f)->pMethods->xRead(vfs_real(f), data, size, offset);
}

static inline int vfs_write(sqlite3_file *f, const void *data, int size, sqlite3_int64 offset)
{
	int rc;

	(void)pthread_mutex_lock(&vfs_state.mutex);
	rc = vfs_count(SQLITE_FULL);
	if (rc == SQLITE_OK)
		rc = vfs_real(f)->pMethods->xWrite(vfs_real(f), data, size, offset);
	if (rc == SQLITE_OK)
		vfs_journal((struct vfs_file *)f, data, size, offset);
	(void)pthread_mutex_unlock(&vfs_state.mutex);
	return rc;
}

static inline int vfs_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc;

	(void)pthread_mutex_lock(&vfs_state.mutex);
	rc = vfs_count(SQLITE_OK);
	if (rc == SQLITE_OK)
		rc = vfs_real(f)->pMethods->xTruncate(vfs_real(f), size);
	if (rc == SQLITE_OK)
		vfs_journal((struct vfs_file *)f, NULL, -1, size);
	(void)pthread_mutex_unlock(&vfs_state.mutex);
	return rc;
}

static inline int vfs_sync(sqlite3_file *f, int flags)
{
	struct vfs_file *v = (struct vfs_file *)f;
	int rc;

	(void)pthread_mutex_lock(&vfs_state.mutex);
	rc = vfs_count(SQLITE_OK);
	vfs_state.syncs++;
	if (rc == SQLITE_OK && v->shadow && vfs_state.keeps_journal)
		vfs_flush(v->shadow, false); /* the shadow is the disk: no need to bother the real one */
	else if (rc == SQLITE_OK)
		rc = vfs_real(f)->pMethods->xSync(vfs_real(f), flags);
	(void)pthread_mutex_unlock(&vfs_state.mutex);
	return rc;
}

static inline int vfs_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return vfs_real(f)->pMethods->xFileSize(vfs_real(f), ret);
}

static inline int vfs_lock(sqlite3_file *f, int level)
{
	return vfs_real(f)->pMethods->xLock(vfs_real(f), level);
}

static inline int vfs_unlock(sqlite3_file *f, int level)
{
	return vfs_real(f)->pMethods->xUnlock(vfs_real(f), level);
}

static inline int vfs_reserved(sqlite3_file *f, int *ret)
{
	return vfs_real(f)->pMethods->xCheckReservedLock(vfs_real(f), ret);
}

static inline int vfs_control(sqlite3_file *f, int op, void *arg)
{
	return vfs_real(f)->pMethods->xFileControl(vfs_real(f), op, arg);
}

static inline int vfs_sector(sqlite3_file *f)
{
	return vfs_real(f)->pMethods->xSectorSize(vfs_real(f));
}

static inline int vfs_device(sqlite3_file *f)
{
	return vfs_real(f)->pMethods->xDeviceCharacteristics(vfs_real(f));
}

static inline int vfs_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
	return vfs_real(f)->pMethods->xShmMap(vfs_real(f), region, size, extend, ret);
}

static inline int vfs_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return vfs_real(f)->pMethods->xShmLock(vfs_real(f), offset, n, flags);
}

static inline void vfs_shm_barrier(sqlite3_file *f)
{
	vfs_real(f)->pMethods->xShmBarrier(vfs_real(f));
}

static inline int vfs_shm_unmap(sqlite3_file *f, int is_delete)
{
	return vfs_real(f)->pMethods->xShmUnmap(vfs_real(f), is_delete);
}

static inline struct vfs_shadow *vfs_shadow_of(const char *path)
{
	for (int i = 0; i < VFS_FILES; i++) {
		struct vfs_shadow *s = &vfs_state.shadows[i];

		if (!s->path[0]) {
			(void)snprintf(s->path, sizeof(s->path), "%s", path);
			s->first = NULL;
			s->last = &s->first;
		}
		if (strcmp(s->path, path) == 0)
			return s;
	}
	abort();
}

static inline int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
	struct vfs_file *f = (struct vfs_file *)file;
	int rc;

	(void)vfs;
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(f + 1);
	rc = vfs_state.real->xOpen(vfs_state.real, path, f->real, flags, ret_flags);
	if (!f->real->pMethods)
		return rc;
	f->base.pMethods = &vfs_state.methods;
	(void)pthread_mutex_lock(&vfs_state.mutex);
	if (path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) &&
	    vfs_state.keeps_journal)
		f->shadow = vfs_shadow_of(path), f->shadow->is_there = true;
	(void)pthread_mutex_unlock(&vfs_state.mutex);
	return rc;
}

static inline int vfs_delete(sqlite3_vfs *vfs, const char *path, int with_dir)
{
	char shadow[600];
	bool is_cut;

	(void)vfs;
	(void)pthread_mutex_lock(&vfs_state.mutex);
	is_cut = vfs_state.is_cut;
	if (!is_cut && vfs_state.keeps_journal) {
		vfs_forget(vfs_shadow_of(path));
		(void)snprintf(shadow, sizeof(shadow), "%s.durable", path);
		(void)unlink(shadow);
	}
	(void)pthread_mutex_unlock(&vfs_state.mutex);
	return is_cut ? SQLITE_IOERR_DELETE : vfs_state.real->xDelete(vfs_state.real, path, with_dir);
}

/* Once for the process. */
static inline void vfs_install(void)
{
	vfs_state.real = sqlite3_vfs_find(NULL);
	vfs_state.vfs = *vfs_state.real; /* the other functions take the usual one's data along */
	vfs_state.vfs.zName = "disk";
	vfs_state.vfs.pNext = NULL;
	vfs_state.vfs.szOsFile = (int)sizeof(struct vfs_file) + vfs_state.real->szOsFile;
	vfs_state.vfs.xOpen = vfs_open;
	vfs_state.vfs.xDelete = vfs_delete;
	vfs_state.methods = (sqlite3_io_methods){
		.iVersion = 2,
		.xClose = vfs_close,
		.xRead = vfs_read,
		.xWrite = vfs_write,
		.xTruncate = vfs_truncate,
		.xSync = vfs_sync,
		.xFileSize = vfs_size,
		.xLock = vfs_lock,
		.xUnlock = vfs_unlock,
		.xCheckReservedLock = vfs_reserved,
		.xFileControl = vfs_control,
		.xSectorSize = vfs_sector,
		.xDeviceCharacteristics = vfs_device,
		.xShmMap = vfs_shm_map,
		.xShmLock = vfs_shm_lock,
		.xShmBarrier = vfs_shm_barrier,
		.xShmUnmap = vfs_shm_unmap,
	};
	if (sqlite3_vfs_register(&vfs_state.vfs, 1) != SQLITE_OK)
		abort();
}

static inline void vfs_set_full(bool is_full)
{
	(void)pthread_mutex_lock(&vfs_state.mutex);
	vfs_state.is_full = is_full;
	(void)pthread_mutex_unlock(&vfs_state.mutex);
}

/* Before the files are opened: the power goes before this change to the disk. */
static inline void vfs_plan_cut(long at)
{
	memset(vfs_state.shadows, 0, sizeof(vfs_state.shadows));
	vfs_state.keeps_journal = true;
	vfs_state.is_cut = false;
	vfs_state.ops = 0;
	vfs_state.cut_at = at;
}

static inline bool vfs_is_cut(void)
{
	bool is_cut;

	(void)pthread_mutex_lock(&vfs_state.mutex);
	is_cut = vfs_state.is_cut;
	(void)pthread_mutex_unlock(&vfs_state.mutex);
	return is_cut;
}

static inline void vfs_cut_now(void)
{
	(void)pthread_mutex_lock(&vfs_state.mutex);
	vfs_state.is_cut = true;
	(void)pthread_mutex_unlock(&vfs_state.mutex);
}

/* After the files are closed: they become what the disk has. */
static inline void vfs_after_cut(void)
{
	for (int i = 0; i < VFS_FILES && vfs_state.shadows[i].path[0]; i++) {
		struct vfs_shadow *s = &vfs_state.shadows[i];
		char durable[600], shm[600];
		FILE *f;

		if (!s->is_there)
			continue;
		vfs_flush(s, true);
		f = vfs_open_shadow(s); /* a file of which nothing was synced is empty */
		if (!f || fclose(f) != 0)
			abort();
		(void)snprintf(durable, sizeof(durable), "%s.durable", s->path);
		if (rename(durable, s->path) != 0)
			abort();
		(void)snprintf(shm, sizeof(shm), "%s-shm", s->path);
		(void)unlink(shm); /* memory: gone */
	}
	vfs_state.keeps_journal = vfs_state.is_cut = false;
	vfs_state.cut_at = 0;
}
