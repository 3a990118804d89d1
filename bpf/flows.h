/* SPDX-License-Identifier: GPL-2.0-only */
/* The cache: flows are found, begun, ended and forgotten, and the ways that they go are shared. */
#ifndef ICSHARE_FLOWS_H
#define ICSHARE_FLOWS_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "clock.h"
#include "maps.h"
#include "packet.h"

/* What a key has of an IPv6 address. */
static __always_inline __be32 in_one_word(const __be32 *words)
{
	return words[0] ^ words[1] ^ words[2] ^ words[3];
}

static __always_inline void set_key(struct key *key, const struct packet *p, __u32 ifindex, enum hook hook)
{
	if (p->v6) {
		key->saddr = in_one_word(addresses6(p));
		key->daddr = in_one_word(addresses6(p) + 4);
	} else {
		key->saddr = p->ip->saddr;
		key->daddr = p->ip->daddr;
	}
	key->ports = *p->ports;
	key->ifindex = ifindex;
	key->vlan = p->vlan;
	key->proto = p->proto;
	key->kind = KIND(hook, p->v6);
}

static __always_inline bool is_same(const struct key *one, const struct key *other)
{
	const __u32 *a = (const __u32 *)one, *b = (const __u32 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4];
}

/* A flow that was found or begun: its number, the way that its packets go. */
struct found {
	struct flow *flow;
	struct hop *hop;
	__u32 number;
};

/* Upper bits reach the lower ones before the ports come in: else addresses and ports that differ in one octet meet. */
static __always_inline __u32 hash(const struct key *key)
{
	__u64 sum = ((__u64)key->saddr << 32 | key->daddr) * 0x9e3779b97f4a7c15ULL;

	sum = (sum ^ sum >> 32) + ((__u64)key->ports << 32 | key->ifindex << 8 | key->proto);
	sum *= 0xc2b2ae3d27d4eb4fULL;
	return (sum ^ sum >> 29) * 0x9e3779b97f4a7c15ULL >> 32;
}

static __always_inline struct bucket *find_bucket(__u32 hash)
{
	__u32 count = config.flows / FLOWS_PER_BUCKET;
	__u32 index = bpf_get_smp_processor_id() * count + (hash & (count - 1));

	return bpf_map_lookup_elem(&buckets, &index);
}

static __always_inline struct flow *flow_of(__u32 number)
{
	__u32 index = bpf_get_smp_processor_id() * config.flows + number;

	return bpf_map_lookup_elem(&flows, &index);
}

/* The addresses of a flow of IPv6 lie in another array, at the same place. */
static __always_inline struct flow6 *flow6_of(__u32 number)
{
	__u32 index = bpf_get_smp_processor_id() * config.flows + number;

	return bpf_map_lookup_elem(&flows6, &index);
}

static __always_inline struct notes *notes_of(__u32 number)
{
	__u32 index = bpf_get_smp_processor_id() * config.flows + number;

	return bpf_map_lookup_elem(&notes, &index);
}

static __always_inline struct hop *hop_of(__u32 number)
{
	__u32 index = bpf_get_smp_processor_id() * (config.flows / FLOWS_PER_HOP) + number;

	return bpf_map_lookup_elem(&hops, &index);
}

static __always_inline bool is_same6(const __be32 *one, const __be32 *other)
{
	__u32 difference = 0;

#pragma unroll
	for (int i = 0; i < 8; i++)
		difference |= one[i] ^ other[i];
	return !difference;
}

/*
 * Return the word of a bucket for a hash; its lower half is 0 when there is none. There are no branches: the verifier
 * would follow each of them with all that comes after.
 */
static __always_inline __u32 find_way(const struct bucket *bucket, __u32 hash)
{
	__u32 found = 0;

#pragma unroll
	for (int i = 0; i < WAYS; i++) {
		__u32 difference = (bucket->ways[i] ^ hash) >> 16;

		found |= bucket->ways[i] & -((difference - 1) >> 31);
	}
	return found;
}

/* Find a flow. `words6` are both addresses of IPv6, NULL for IPv4. */
static __always_inline bool find_flow(const struct key *key, __u32 hash, const __be32 *words6, struct found *found)
{
	struct bucket *bucket = find_bucket(hash);
	struct flow6 *flow6;
	struct flow *flow;
	__u32 way;

	found->flow = NULL;
	if (!bucket)
		return false;
	way = find_way(bucket, hash) & ~HASH_PART;
	if (!way)
		return false;
	flow = flow_of(way);
	if (!flow || !is_same(&flow->key, key))
		return false;
	if (words6) {
		flow6 = flow6_of(way);
		if (!flow6 || !is_same6(flow6->key, words6))
			return false;
	}
	found->flow = flow;
	found->number = way;
	return true;
}

/* Return the number of a flow to begin anew: the oldest, but of a few rather one that has been idle; 0 for none. */
__noinline __u32 take_number(void)
{
	__u32 zero = 0, time = now(), number = 0;
	__u32 *latest = bpf_map_lookup_elem(&last, &zero);
	struct flow *flow;

	if (!latest)
		return 0;
	for (int i = 0; i < 8; i++) {
		number = (*latest + 1) & (config.flows - 1);
		if (!number)
			number = 1;
		*latest = number;
		flow = flow_of(number);
		if (!flow)
			return 0;
		if (!flow->key.kind || time - flow->checked > 2 * ASK_AGAIN)
			break;
	}
	return number;
}

/* Give a bucket's word to a flow: that of the same hash, an empty one, one whose flow has gone, or any. */
__noinline int put_way(struct bucket *bucket, __u32 hash, __u32 number)
{
	__u32 chosen = number & (WAYS - 1);
	struct notes *noted;
	struct flow *flow;

	if (!bucket)
		return 0;
	for (__u32 i = 0; i < WAYS; i++) {
		__u32 way = bucket->ways[i & (WAYS - 1)];

		if (!((way ^ hash) & HASH_PART)) {
			chosen = i;
			break;
		}
		flow = flow_of(way & ~HASH_PART);
		noted = notes_of(way & ~HASH_PART);
		if (!way || !flow || !noted || !flow->key.kind || (noted->hash ^ way) & HASH_PART)
			chosen = i;
	}
	bucket->ways[chosen & (WAYS - 1)] = (hash & HASH_PART) | number;
	return 0;
}

/* Begin a flow, in place of another if need be. */
static __always_inline bool begin_flow(const struct key *key, __u32 hash, const __be32 *words6, struct found *found)
{
	struct bucket *bucket = find_bucket(hash);
	__u32 number = take_number();
	struct notes *noted;
	struct flow6 *flow6;
	struct flow *flow;

	if (!bucket || !number)
		return false;
	flow = flow_of(number);
	flow6 = flow6_of(number);
	noted = notes_of(number);
	if (!flow || !flow6 || !noted)
		return false;
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->key = *key;
	noted->hash = hash;
	if (words6)
		__builtin_memcpy(flow6->key, words6, sizeof(flow6->key));
	put_way(bucket, hash, number);
	found->flow = flow;
	found->number = number;
	return true;
}

/*
 * Return the number of a way to go: that which is the same, or one that nobody has taken lately; 0 when there is none.
 * A flow is asked about more often than a way is given to others, so what it names is what it was given.
 */
__noinline __u32 take_hop(const struct hop *wanted)
{
	const __u32 *words = (const __u32 *)wanted;
	__u32 count = config.flows / FLOWS_PER_HOP, at;

	if (!wanted)
		return 0;
	at = (words[0] ^ words[1] << 7 ^ words[4] ^ wanted->l3) * 0x9e3779b1U;
	for (__u32 i = 0; i < 8; i++) {
		__u32 number = ((at >> 16) + i) & (count - 1), difference = 0;
		struct hop *hop = hop_of(number);

		if (!hop)
			return 0;
		if (!number)
			continue;
		for (int word = 0; word < HOP_WORDS; word++)
			difference |= ((__u32 *)hop)[word] ^ words[word];
		if (difference && hop->checked && now() - hop->checked < 2 * config.hz)
			continue;
		if (difference)
			*hop = *wanted;
		hop->checked = now() ?: 1;
		return number;
	}
	return 0;
}

static __always_inline void forget_flow(struct flow *flow)
{
	flow->key.kind = 0;
	flow->state = PENDING;
}

/*
 * A connection begins or ends: both its directions leave the cache, so that conntrack sees the rest of it. The other
 * direction comes in where this one goes out; what another CPU remembers of it is asked about within a second.
 */
static __always_inline void end_flow(const struct packet *p, __u32 ifindex, enum hook hook)
{
	struct found found = {}, other = {};
	struct key key, mirror;
	struct flow6 *flow6;
	struct flow *flow;
	struct hop *hop;
	__be32 words[8];

	set_key(&key, p, ifindex, hook);
	if (!find_flow(&key, hash(&key), addresses6(p), &found))
		return;
	flow = found.flow;
	flow->state = PENDING;
	hop = hop_of(flow->hop);
	if (!hop)
		return;
	mirror = key;
	mirror.saddr = flow->daddr;
	mirror.daddr = flow->saddr;
	mirror.ports = flow->ports << 16 | flow->ports >> 16;
	mirror.ifindex = hop->ifindex;
	mirror.vlan = hop->vlan;
	if (p->v6) {
		flow6 = flow6_of(found.number);
		if (!flow6)
			return;
		__builtin_memcpy(words, flow6->addrs + 4, 16);
		__builtin_memcpy(words + 4, flow6->addrs, 16);
		mirror.saddr = in_one_word(words);
		mirror.daddr = in_one_word(words + 4);
	}
	if (find_flow(&mirror, hash(&mirror), p->v6 ? words : NULL, &other))
		forget_flow(other.flow);
	forget_flow(flow);
}

#endif
