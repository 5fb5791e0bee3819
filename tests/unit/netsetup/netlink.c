/* libnl's codes become errno and words; the kernel's own refusal is kept, with the sentence it sends along. */
#include <errno.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/link.h>

#include "netsetup/netlink.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

static const struct {
	int nle, code;
} rows[] = {
	{ NLE_EXIST, EEXIST },    { NLE_PERM, EPERM },  { NLE_NODEV, ENODEV }, { NLE_OPNOTSUPP, EOPNOTSUPP },
	{ NLE_NOMEM, ENOMEM },    { NLE_BUSY, EBUSY },  { NLE_INVAL, EINVAL }, { NLE_OBJ_NOTFOUND, ENOENT },
	{ NLE_NOACCESS, EACCES }, { NLE_FAILURE, EIO }, { NLE_MAX, EIO },      { 4711, EIO },
};

static void codes(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_int(netlink_errno(rows[i].nle), rows[i].code, "libnl's %d is errno %d", rows[i].nle, rows[i].code);
		is_int(netlink_errno(-rows[i].nle), rows[i].code, "whatever its sign");
	}
}

/* Changing a link that does not exist is refused to anybody, privileged or not, and changes nothing. */
static void refusal_of_the_kernel(struct netlink *nl)
{
	struct rtnl_link *link = rtnl_link_alloc(), *change = rtnl_link_alloc();
	struct error err = ERROR_INIT;
	int nle, r;

	need(link && change, "there is memory");
	rtnl_link_set_ifindex(link, 0x7ffffff0);
	rtnl_link_set_mtu(change, 1400);
	nle = rtnl_link_change(netlink_sock(nl), link, change, 0);
	need(nle < 0, "a link that is not there cannot be changed");
	r = netlink_error(nl, nle, &err, "change link %d", 7);
	ok(r == -ENODEV || r == -EPERM, "the code is the kernel's");
	has_str(err.text, "change link 7: ", "the text says what was tried");
	has_str(err.text, strerror(-r), "and what the code means");
	diag("%s", err.text);
	r = netlink_error(nl, -NLE_BAD_SOCK, &err, "x");
	is_int(r, -EBADF, "a refusal that was reported is forgotten: the next error is libnl's own");
	has_str(err.text, nl_geterror(NLE_BAD_SOCK), "with libnl's words");
	rtnl_link_put(link);
	rtnl_link_put(change);
}

int main(void)
{
	struct netlink *nl = NULL;
	struct error err = ERROR_INIT;

	codes();
	need(netlink_open(&nl, &err) == 0, "a route netlink socket can be opened by anybody");
	refusal_of_the_kernel(nl);
	netlink_close(nl);
	netlink_close(NULL);
	return done_testing();
}
