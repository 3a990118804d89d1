/* SPDX-License-Identifier: GPL-2.0-only */
/* Which hardware address is behind which port of a bridge, as the bridge itself would know. */
#ifndef ICSHARE_STATIONS_H
#define ICSHARE_STATIONS_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "addresses.h"
#include "clock.h"
#include "maps.h"

/* Learn from a frame behind which port of its bridge the sender is. */
static __always_inline void learn(const struct link *link, __u32 port, const __u8 *mac)
{
	struct station_key key = {.l3 = link->l3};
	struct station *known, heard = {.port = port, .seen = now()};

	if (!link->bridged || mac[0] & 1)
		return;
	copy_mac(key.mac, mac);
	known = bpf_map_lookup_elem(&stations, &key);
	if (known && known->port == port) {
		if (heard.seen - known->seen > ASK_AGAIN)
			known->seen = heard.seen;
		return;
	}
	bpf_map_update_elem(&stations, &key, &heard, BPF_ANY);
	if (known)
		__sync_fetch_and_add(&stations_changed, 1);
}

/* Find the port of a bridge behind which the next hop is. */
__noinline int find_station(struct hop *hop)
{
	struct station_key key = {};
	struct station *station;

	if (!hop)
		return STATION;
	key.l3 = hop->l3;
	hop->stations = *(volatile __u32 *)&stations_changed - 1; /* not known yet */
	copy_mac(key.mac, hop->macs);
	station = bpf_map_lookup_elem(&stations, &key);
	if (!station || now() - station->seen > STATION_ENDS)
		return STATION;
	hop->ifindex = station->port;
	hop->stations++;
	return FAST;
}

#endif
