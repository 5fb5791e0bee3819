/* Standard input: see input.h. */
#include "tools/cubit/input.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"

enum { ROOM = 64 << 10, READ_BYTES = 16 << 10, CTRL_C = 3 };

struct input {
	pthread_mutex_t lock;
	pthread_cond_t has_room;
	void (*ready)(void *arg);
	void *ready_arg;
	char data[ROOM];
	size_t size;
	bool is_over, is_discarded, keeps_interrupt;
};

static void tell(struct input *in)
{
	if (in->ready)
		in->ready(in->ready_arg);
}

/* Bytes that were read; under the lock. */
static void put(struct input *in, const char *data, size_t size)
{
	if (in->is_discarded)
		return;
	if (in->keeps_interrupt && memchr(data, CTRL_C, size)) {
		(void)kill(getpid(), SIGINT); /* to ourselves: cannot fail */
		return;
	}
	memcpy(in->data + in->size, data, size);
	in->size += size;
	tell(in);
}

static void *read_input(void *arg)
{
	struct input *in = arg;
	char data[READ_BYTES];
	ssize_t n = 1;

	while (n > 0) {
		n = read(STDIN_FILENO, data, sizeof(data));
		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			if (errno == EAGAIN)
				(void)usleep(10000); /* somebody we share it with made it so */
			n = 1;
			continue;
		}
		(void)pthread_mutex_lock(&in->lock);
		if (n > 0)
			put(in, data, (size_t)n);
		while (n > 0 && !in->is_discarded && in->size + sizeof(data) > ROOM)
			(void)pthread_cond_wait(&in->has_room, &in->lock);
		if (n <= 0) { /* an error is an end as well: a terminal that hung up, a closed descriptor */
			in->is_over = true;
			tell(in);
		}
		(void)pthread_mutex_unlock(&in->lock);
	}
	return NULL;
}

int input_start(struct input **ret, struct error *err)
{
	static struct input
		the_input; /* as standard input, there is one; the thread uses it to the end of the process */
	struct input *in = &the_input;
	pthread_t thread;
	sigset_t all, before;
	int e;

	(void)pthread_mutex_init(&in->lock, NULL); /* with no attributes these cannot fail */
	(void)pthread_cond_init(&in->has_room, NULL);
	(void)sigfillset(&all); /* signals are for the main thread */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&thread, NULL, read_input, in);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e)
		return error_errno(err, e, "a thread for standard input");
	(void)pthread_detach(thread);
	*ret = in;
	return 0;
}

void input_on_ready(struct input *in, void (*fn)(void *arg), void *arg)
{
	(void)pthread_mutex_lock(&in->lock);
	in->ready = fn;
	in->ready_arg = arg;
	(void)pthread_mutex_unlock(&in->lock);
}

size_t input_take(struct input *in, void *ret, size_t room, bool *ret_is_over)
{
	size_t n;

	(void)pthread_mutex_lock(&in->lock);
	n = in->size < room ? in->size : room;
	memcpy(ret, in->data, n);
	in->size -= n;
	memmove(in->data, in->data + n, in->size);
	*ret_is_over = in->is_over && in->size == 0;
	(void)pthread_cond_signal(&in->has_room);
	(void)pthread_mutex_unlock(&in->lock);
	return n;
}

void input_keep_interrupt(struct input *in, bool on)
{
	(void)pthread_mutex_lock(&in->lock);
	in->keeps_interrupt = on;
	(void)pthread_mutex_unlock(&in->lock);
}

void input_discard(struct input *in)
{
	(void)pthread_mutex_lock(&in->lock);
	in->is_discarded = true;
	in->size = 0;
	(void)pthread_cond_signal(&in->has_room);
	(void)pthread_mutex_unlock(&in->lock);
}
