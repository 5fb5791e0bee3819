/*
 * What one request of the front may ask for: every number between its minimum and the operator's ceiling, policies that this
 * node allows. Whoever the front says has asked, and whatever it checked before: it reads what strangers send. What all
 * sandboxes may have together is totals.h.
 *
 * Pure. Runs in: monitor.
 */
#pragma once

struct error;
struct monitor_create;
struct monitor_stage;
struct settings;

/* Return 0, -ERANGE a number, -EPERM a policy, -EINVAL an id or a network. */
int ceilings_create(const struct settings *s, const struct monitor_create *m, struct error *err);
int ceilings_stage(const struct settings *s, const struct monitor_stage *m, struct error *err); /* 0: as it is */
