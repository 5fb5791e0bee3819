/* libnftables: see nftables.h. */
#include "netsetup/nftables.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <string.h>

#include "runtime/base/error.h"

static int run(struct nft_ctx *nft, const char *commands, struct error *err)
{
	const char *words;
	int code;

	if (nft_ctx_buffer_error(nft) != 0)
		return error_errno(err, ENOMEM, "nftables");
	errno = 0;
	if (nft_run_cmd_from_buffer(nft, commands) == 0)
		return 0;
	code = errno > 0 ? errno : EINVAL;
	words = nft_ctx_get_error_buffer(nft);
	if (!words || !*words)
		return error_errno(err, code, "nftables");
	return error_set(err, code, "nftables: %.*s", (int)strcspn(words, "\n"), words);
}

int nftables_run(const char *commands, struct error *err)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	int r;

	if (!nft)
		return error_errno(err, ENOMEM, "nftables");
	r = run(nft, commands, err);
	nft_ctx_free(nft);
	return r;
}
