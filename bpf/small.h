/* SPDX-License-Identifier: GPL-2.0-only */
/* Small things that every part needs. */
#ifndef ICSHARE_SMALL_H
#define ICSHARE_SMALL_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "maps.h"

static __always_inline __u32 now(void)
{
	return bpf_jiffies64();
}

static __always_inline void note(enum reason reason)
{
	__u32 index = reason;
	__u64 *packets = bpf_map_lookup_elem(&reasons, &index);

	if (packets)
		++*packets;
}

/* Both ports of a packet are handled as the one word that they are there. */
static __always_inline __be16 source_port(__be32 ports)
{
	return ((__be16 *)&ports)[0];
}

static __always_inline __be16 destination_port(__be32 ports)
{
	return ((__be16 *)&ports)[1];
}

static __always_inline bool same_mac(const __u8 *one, const __u8 *other)
{
	return *(__u32 *)one == *(__u32 *)other && *(__u16 *)(one + 4) == *(__u16 *)(other + 4);
}

static __always_inline void copy_mac(__u8 *to, const __u8 *from)
{
	__builtin_memcpy(to, from, 6);
}

static __always_inline void map_v4(__u8 *addr, __be32 v4)
{
	__builtin_memset(addr, 0, 10);
	addr[10] = addr[11] = 0xff;
	__builtin_memcpy(addr + 12, &v4, 4);
}

/* An address in the words of struct account and struct network_key. */
static __always_inline void map_address(__u8 *addr, const __be32 *address, bool v6)
{
	if (v6)
		__builtin_memcpy(addr, address, 16);
	else
		map_v4(addr, *address);
}

static __always_inline struct link *find_link(__u32 ifindex, __u16 vlan)
{
	struct link_key key = {.ifindex = ifindex, .vlan = vlan};

	return bpf_map_lookup_elem(&links, &key);
}

#endif
