/*
 * The admin key: made at the first start, kept in STATE/admin.key (0600 root). The front gets only its hash.
 *
 * Runs in: monitor.
 */
#pragma once

#include "images/digest.h"

struct error;

enum { ADMIN_KEY_MIN = 12, ADMIN_KEY_MAX = 256 };

/*
 * state_fd  CUBIT_STATE
 * preset    CUBIT_ADMIN_KEY, or "": what the file says, or a new one. The file says the preset afterwards.
 * ret_hash  digest of the key's text
 *
 * The key itself is registered with log_redact() and then forgotten. Returns 1 when a new one was made, 0, or -errno.
 */
int admin_key_open(int state_fd, const char *preset, struct digest *ret_hash, struct error *err);
