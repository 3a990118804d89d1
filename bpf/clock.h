/* SPDX-License-Identifier: GPL-2.0-only */
/* The clock that all times of maps.h are of. */
#ifndef ICSHARE_CLOCK_H
#define ICSHARE_CLOCK_H

#include <linux/types.h>

#include <bpf/bpf_helpers.h>

static __always_inline __u32 now(void)
{
	return bpf_jiffies64();
}

#endif
