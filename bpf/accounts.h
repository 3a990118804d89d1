/* SPDX-License-Identifier: GPL-2.0-only */
/* Whose bytes are counted where. */
#ifndef ICSHARE_ACCOUNTS_H
#define ICSHARE_ACCOUNTS_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "maps.h"

/* Return the element of `counters` for an account, 0 when there is none left. */
__noinline __u32 open_account(const struct account *account)
{
	struct account key;
	__u32 *known, given;

	if (!account)
		return 0;
	key = *account; /* kernels before 6.2 take keys from the stack, but not from just any memory */
	known = bpf_map_lookup_elem(&accounts, &key);
	if (known)
		return *known;
	if (bpf_map_pop_elem(&spare, &given)) {
		given = __sync_fetch_and_add(&accounts_given, 1) + 1;
		if (given >= MAX_ACCOUNTS) {
			__sync_fetch_and_add(&accounts_given, -1);
			return 0;
		}
	}
	if (!bpf_map_update_elem(&accounts, &key, &given, BPF_NOEXIST))
		return given;
	bpf_map_push_elem(&spare, &given, BPF_ANY);
	known = bpf_map_lookup_elem(&accounts, &key); /* another CPU was first */
	return known ? *known : 0;
}

static __always_inline void count(const struct flow *flow, __u32 slot, __u32 bytes)
{
	struct counter *counter = bpf_map_lookup_elem(&counters, &slot);

	if (!counter)
		return;
	if (flow->sent) {
		counter->sent_bytes += bytes;
		counter->sent_packets++;
	} else {
		counter->received_bytes += bytes;
		counter->received_packets++;
	}
}

static __always_inline void count_packet(struct flow *flow, __u32 bytes)
{
	flow->packets++;
	flow->bytes += bytes;
	count(flow, flow->client, bytes);
	if (flow->mapping)
		count(flow, flow->mapping, bytes);
}

#endif
