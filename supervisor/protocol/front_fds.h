/*
 * How the monitor starts the front: the argument by which the program knows what it is, and what its descriptors are.
 * Data for both ends.
 *
 * Runs in: monitor and front.
 */
#pragma once

/* How the program knows that it is to be the front: argv[1], and descriptors from FRONT_FD_FIRST. */
#define FRONT_ARGUMENT "--front"
enum {
	FRONT_FD_MONITOR = 3, /* monitor protocol */
	FRONT_FD_UNIX = 4,    /* listening unix socket, CUBIT_RUN/cubit.sock */
	FRONT_FD_STATE = 5,   /* directory CUBIT_STATE/front, the front's own, opened O_RDONLY|O_DIRECTORY */
	FRONT_FD_TCP = 6,     /* listening TCP sockets, as many as CUBIT_FRONT_TCP says (0 or more) */
};

/* Exit status of a front, and of the program: a setting is wrong, so that to start again is of no use. */
enum { FRONT_EXIT_SETTINGS = 2 };
