/* SPDX-License-Identifier: GPL-2.0-only */
/* Hardware addresses, and those of IP as keys of maps have them. */
#ifndef ICSHARE_ADDRESSES_H
#define ICSHARE_ADDRESSES_H

#include <linux/types.h>
#include <stdbool.h>

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

#endif
