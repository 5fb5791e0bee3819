/*
 * Compiled filters kept in a directory, for programs that start often and live short: what the last one compiled, the
 * next one reads.
 *
 * A file is a filter that processes will run under, so who could write it could lift the policy. It is used only when
 * the directory and the file belong to us and nobody else may write them, when it is a regular file with one name,
 * when it carries the profile's whole text, the context and the stamp that compiling now would have, and when its
 * checksum is right. Anything else is as if there were no file: the profile is compiled, and the file written anew. The
 * checksum notices damage, not somebody with our own rights.
 *
 * Bounded: with FILTER_DIR_FILES files there, all are removed before the next is written.
 *
 * Runs in: cubit-sandbox. Reads and writes files, never waits for a disk.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct policy_context;
struct policy_filter;

enum { FILTER_DIR_FILES = 64 };

/*
 * Open "filters" in a directory, and make it when it is not there.
 *
 * parent_fd  borrowed
 *
 * Returns a descriptor of the caller's own, or -errno with err filled: -EPERM the parent or the directory is not ours
 * alone to write.
 */
int filter_dir_open(int parent_fd, struct error *err);

/*
 * The filter kept for a profile's text in a context.
 *
 * ret  owned by the caller, one reference: policy_filter_unref(). Untouched on failure.
 *
 * Returns 0, or -errno with err filled: -ENOENT there is none; -EPERM the file is not ours alone; -EBADMSG it is
 * damaged, or another one's; others from reading. In each case the caller compiles.
 */
int filter_dir_get(int dir_fd, const char *text, size_t size, const struct policy_context *context,
		   struct policy_filter **ret, struct error *err);

/* Keep one: written beside, then renamed. Returns 0 or -errno with err filled; nothing depends on it. */
int filter_dir_put(int dir_fd, const char *text, size_t size, const struct policy_context *context,
		   const struct policy_filter *filter, struct error *err);

/* The name of the file for a text in a context: 16 hexadecimal digits and a NUL. For tests. */
void filter_dir_name(const char *text, size_t size, const struct policy_context *context, char ret[17]);
