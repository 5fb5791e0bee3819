/* Checks of the network: see doctor.h; the trying is netsetup's. */
#include <errno.h>
#include <unistd.h>

#include "netsetup/probe.h"
#include "runtime/base/error.h"
#include "tools/cubit/doctor.h"

/* Without root the probes depend on user namespaces for everybody, which Cubit itself does not need. */
static bool is_only_about_privilege(int code)
{
	return geteuid() != 0 && (code == EPERM || code == EACCES || code == ENOSPC);
}

static void report(int r, const struct error *err, const char *good, const char *remedy, struct finding *f)
{
	if (r == 0) {
		finding_ok(f, "%s", good);
	} else if (is_only_about_privilege(err->code)) {
		finding_warning(f, "not tried: only root can (%s)", err->text);
	} else {
		finding_missing(f, "%s", err->text);
		finding_remedy(f, "%s", remedy);
	}
}

void check_veth(const struct check *c, struct finding *f)
{
	struct error err = ERROR_INIT;

	(void)c;
	report(netsetup_probe_veth(&err), &err,
	       "a bridge, and a veth pair born with one end in another network namespace",
	       "the kernel needs bridge and veth: modprobe bridge veth (CONFIG_BRIDGE, CONFIG_VETH)", f);
}

void check_nftables(const struct check *c, struct finding *f)
{
	struct error err = ERROR_INIT;

	(void)c;
	report(netsetup_probe_nftables(&err), &err, "a table, a chain and a masquerade rule",
	       "the kernel needs nf_tables with nat and masquerade: modprobe nf_tables nft_chain_nat nft_masq "
	       "(CONFIG_NF_TABLES, CONFIG_NFT_NAT, CONFIG_NFT_MASQ)",
	       f);
}
