/* lo of a sandbox: see loopback.h. */
#include "runtime/loopback.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "runtime/base/fd.h"

enum { PACKET_BYTES = 16384 };

int loopback_up(void)
{
	struct ethtool_value off = { .cmd = ETHTOOL_STSO, .data = 0 };
	struct ifreq size = { .ifr_name = "lo", .ifr_mtu = PACKET_BYTES };
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	struct ifreq cut = { .ifr_name = "lo", .ifr_data = (void *)&off };
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0 || ioctl(sock, SIOCSIFMTU, &size) < 0 || ioctl(sock, SIOCETHTOOL, &cut) < 0)
		return -1;
	return ioctl(sock, SIOCSIFFLAGS, &up);
}
