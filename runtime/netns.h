/*
 * Network namespaces made ahead of need, so that the 0.3 to 0.6 ms the kernel charges for one are off the latency path.
 * The namespace belongs to the initial user namespace: root inside a sandbox that joins it has no power over it.
 */
#pragma once

struct error;

/* What making them needs, kept between two of them. All zero: nothing yet. */
struct netns_maker {
	int proc_fd;        /* a procfs of our own */
	unsigned uses_left; /* before it is made anew; 0: there is none */
};

/*
 * A new namespace with lo up and nothing else; ports below 1024 are open to everybody inside (they mean nothing
 * outside). Returns an owned descriptor (it lives as long as that or a process in it), or -errno.
 * Runs in: monitor, cubit-sandbox; single-threaded, root: the caller visits the new namespace and comes back.
 */
int netns_new(struct netns_maker *m, struct error *err);

/* Give up what is kept. */
void netns_maker_done(struct netns_maker *m);
