/* Credentials, mirrors, token answers and the worker's messages: the pure parts of the registry client. */
#include "images/registry/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "images/ref.h"
#include "images/registry/client_impl.h"
#include "images/registry/proto.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/frame.h"
#include "tests/tap.h"

enum { CAPACITY = 64 };

static int find(const char *file, const char *host, char *user, char *password, struct error *err)
{
	user[0] = password[0] = '\0';
	return registry_auth_find(file, strlen(file), host, user, password, CAPACITY, err);
}

static void test_credentials(void)
{
	char user[CAPACITY], password[CAPACITY];
	struct error err = ERROR_INIT;

	is_int(find("{\"auths\":{\"a.b\":{\"auth\":\"dTpwOnc=\"}}}", "a.b", user, password, &err), 1,
	       "an auth is found");
	ok(strcmp(user, "u") == 0 && strcmp(password, "p:w") == 0, "the password may hold a colon");
	is_int(find("{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"}}}", "docker.io", user, password,
		    &err),
	       1, "Docker Hub is found under its old name");
	is_int(find("{\"auths\":{\"a.b:5000\":{\"auth\":\"dTpw\"}}}", "a.b", user, password, &err), 0,
	       "another port is another host");
	is_int(find("{\"auths\":{\"a.b/some/repo\":{\"auth\":\"dTpw\"}}}", "a.b", user, password, &err), 0,
	       "credentials of one repository are not used for all");
	is_int(find("{\"auths\":{\"a.b\":{}}}", "a.b", user, password, &err), 0, "an entry for a helper is none");
	is_int(find("{}", "a.b", user, password, &err), 0, "a file without entries has none");
	is_int(find("{\"auths\":{\"a.b\":{\"auth\":\"c2VjcmV0\"}}}", "a.b", user, password, &err), -EBADMSG,
	       "an auth without a colon is refused");
	ok(!strstr(err.text, "secret") && !strstr(err.text, "c2Vj"), "and not quoted");
	is_int(find("{\"auths\":{\"a.b\":{\"auth\":\"!!\"}}}", "a.b", user, password, &err), -EBADMSG,
	       "so is what is not base64");
	is_int(find("{\"auths\":{\"a.b\":{\"auth\":\"dTpwCg==\"}}}", "a.b", user, password, &err), -EBADMSG,
	       "and a line break, which would end a header");
}

static void test_hosts(void)
{
	static const char *const local[] = { "localhost",    "localhost:5000", "127.0.0.1",
					     "127.1.2.3:80", "[::1]",          "[::1]:5000" };
	static const char *const remote[] = {
		"localhost.evil.org", "127.0.0.1.evil.org", "1.2.3.4",     "128.0.0.1", "[::2]",
		"[::1].evil.org",     "localhostx:80",      "127.evil.org"
	};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		ok(registry_host_is_loopback(local[i]), "%s is this machine", local[i]);
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		ok(!registry_host_is_loopback(remote[i]), "%s is not", remote[i]);
}

static void test_mirrors(void)
{
	static struct registry_spec s;
	struct error err = ERROR_INIT;
	struct image_ref ref;

	(void)unsetenv("HOME");
	(void)unsetenv("CUBIT_REGISTRY_AUTH_FILE");
	need(image_ref_parse("python", &ref, &err) == 0, "a reference");
	(void)setenv("CUBIT_REGISTRY_MIRRORS", "docker.io=m1.example,ghcr.io=m2.example,docker.io=http://m3.example:81",
		     1);
	ok(registry_settings(&ref, false, &s, &err) == 0 && s.n_mirrors == 2, "the mirrors of one registry are taken");
	ok(strcmp(s.mirrors[0].server, "m1.example") == 0 && !s.mirrors[0].is_plain, "with TLS unless told otherwise");
	ok(strcmp(s.mirrors[1].server, "m3.example:81") == 0 && s.mirrors[1].is_plain, "in their order");
	ok(registry_settings(&ref, true, &s, &err) == 0 && s.n_mirrors == 0, "a push uses none");
	is_str(s.server, "registry-1.docker.io", "Docker Hub is asked where it answers");
	ok(!s.is_plain, "with TLS");
	(void)setenv("CUBIT_REGISTRY_MIRRORS", "docker.io", 1);
	ok(registry_settings(&ref, false, &s, &err) == -EINVAL, "a mirror without a host is refused");
	has_str(err.text, "CUBIT_REGISTRY_MIRRORS", "with the variable named");
	(void)unsetenv("CUBIT_REGISTRY_MIRRORS");
	(void)setenv("CUBIT_REGISTRY_TIMEOUT_S", "0", 1);
	ok(registry_settings(&ref, false, &s, &err) == -EINVAL, "so is a timeout of nothing");
	(void)unsetenv("CUBIT_REGISTRY_TIMEOUT_S");
}

static void test_certificates(void)
{
	static const char text[] = "some words\n-----BEGIN CERTIFICATE-----\n";
	static struct registry_spec s;
	struct error err = ERROR_INIT;
	struct image_ref ref;
	char path[] = "/tmp/cubit-ca.XXXXXX", piece[16];
	cleanup_fd int file = mkostemp(path, O_CLOEXEC), got = -1;

	need(file >= 0 && image_ref_parse("python", &ref, &err) == 0, "a file and a reference");
	(void)unsetenv("SSL_CERT_FILE");
	(void)unsetenv("CUBIT_REGISTRY_CA");
	need(registry_settings(&ref, false, &s, &err) == 0, "settings");
	ok(registry_open_ca(&s, &got, &err) == 0 && got == -1, "without a setting, the system's certificates");
	(void)setenv("SSL_CERT_FILE", path, 1);
	ok(registry_settings(&ref, false, &s, &err) == 0 && s.is_ca_only, "SSL_CERT_FILE stands instead of them");
	(void)setenv("CUBIT_REGISTRY_CA", path, 1);
	(void)setenv("SSL_CERT_FILE", "/none", 1);
	ok(registry_settings(&ref, false, &s, &err) == 0 && !s.is_ca_only,
	   "CUBIT_REGISTRY_CA besides them, and goes first");
	ok(registry_open_ca(&s, &got, &err) == -EINVAL, "a file without a certificate is refused");
	has_str(err.text, "there is no PEM certificate in it", "in words");
	need(write(file, text, sizeof(text) - 1) == sizeof(text) - 1, "something that looks like one is written");
	ok(registry_open_ca(&s, &got, &err) == 0 && read(got, piece, sizeof(piece)) == sizeof(piece) && piece[0] == 's',
	   "a file with one is opened at its beginning");
	(void)unlink(path);
	fd_close(&got);
	error_clear(&err);
	ok(registry_open_ca(&s, &got, &err) == -ENOENT && strstr(err.text, path), "one that is gone is named");
	(void)setenv("CUBIT_REGISTRY_CA", "/dev/null", 1);
	error_clear(&err);
	ok(registry_settings(&ref, false, &s, &err) == 0 && registry_open_ca(&s, &got, &err) == -EINVAL,
	   "what is not a file is refused");
	(void)unsetenv("CUBIT_REGISTRY_CA");
	(void)unsetenv("SSL_CERT_FILE");
}

/* What *ret held before is freed. */
static int token(const char *text, char **ret, uint64_t *seconds)
{
	struct error err = ERROR_INIT;

	free(*ret);
	*ret = NULL;
	return auth_token_parse(text, strlen(text), ret, seconds, &err);
}

static void test_tokens(void)
{
	cleanup_free char *t = NULL;
	uint64_t seconds;

	ok(token("{\"token\":\"a.b-c\",\"expires_in\":300}", &t, &seconds) == 0 && seconds == 300,
	   "a token with its seconds");
	ok(token("{\"access_token\":\"x\"}", &t, &seconds) == 0 && seconds == 60,
	   "under its other name, for 60 s by default");
	ok(token("{\"token\":\"x\",\"expires_in\":1000000}", &t, &seconds) == 0 && seconds == 3600,
	   "never kept for more than an hour");
	ok(token("{\"token\":\"a b\"}", &t, &seconds) < 0, "a blank in a token is refused");
	ok(token("{\"token\":\"a\\r\\nX: y\"}", &t, &seconds) < 0, "and a line break");
	ok(token("{}", &t, &seconds) < 0 && token("[]", &t, &seconds) < 0 && token("", &t, &seconds) < 0,
	   "and no token at all");
}

static void test_messages(void)
{
	static struct proto_request q = { .type = PROTO_OPEN }, q2;
	static uint8_t memory[PROTO_MESSAGE_BYTES];
	struct proto_reply done = { .type = PROTO_DONE, .code = 5, .was_there = true }, got;
	const void *sent = &q.spec, *came = &q2.spec; /* it travels as bytes, and both began as zeros */
	struct error err = ERROR_INIT;
	size_t n_fds = 0;
	int ends[2];
	ssize_t n;

	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "a pair");
	(void)strcpy(q.spec.server, "a.b:1");
	(void)strcpy(q.spec.password, "pw");
	q.spec.n_mirrors = 1;
	(void)strcpy(q.spec.mirrors[0].server, "m");
	need(proto_request_send(ends[0], &q, -1, &err) == 0, "a request is sent");
	n = frame_recv(ends[1], memory, sizeof(memory), NULL, &n_fds, 0, &err);
	need(n > 0 && proto_request_read(memory, (size_t)n, &q2, &err) == 0, "and read");
	ok(memcmp(sent, came, sizeof(q.spec)) == 0, "as it was");
	memory[4] = 99;
	ok(proto_request_read(memory, (size_t)n, &q2, &err) == -EPROTO, "an unknown type is refused");
	need(proto_reply_send(ends[0], &done, &err) == 0, "a reply is sent");
	n = frame_recv(ends[1], memory, sizeof(memory), NULL, &n_fds, 0, &err);
	ok(n > 0 && proto_reply_read(memory, (size_t)n, &got, &err) == 0 && got.code == 5 && got.was_there, "and read");
	ok(proto_reply_read(memory, (size_t)n - 1, &got, &err) == -EPROTO, "one that was cut off is refused");
}

int main(void)
{
	test_credentials();
	test_hosts();
	test_mirrors();
	test_certificates();
	test_tokens();
	test_messages();
	return done_testing();
}
