/*
 * SQLite's VFS with one change: a name is taken as it is, below the working directory.
 *
 * The usual one makes every path absolute and looks at each directory on the way. The front may not even look at those
 * above its own (a checkout below /root, a state directory below somebody's home).
 *
 * Runs in: front.
 */
#pragma once

/* Its name for sqlite3_open_v2(), registered with the first call; NULL when that fails. Wraps the default VFS of that moment. */
const char *db_vfs_name(void);
