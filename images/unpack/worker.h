/*
 * The unpack worker's side: everything between its start and its exit.
 *
 * control   SOCK_SEQPACKET to the parent, images/unpack/messages.h
 * input     the archive
 * dir       the layer directory; becomes the root
 *
 * Exits with 0, also when the layer was refused: the parent was told.
 * Runs in: cubit-worker unpack, alone in its process, started as root.
 */
#pragma once

void unpack_worker_run(int control, int input, int dir) __attribute__((noreturn));
