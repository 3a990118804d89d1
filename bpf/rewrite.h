/* SPDX-License-Identifier: GPL-2.0-only */
/* What a packet becomes: addresses, ports, checksums, and the Ethernet header that it leaves with. */
#ifndef ICSHARE_REWRITE_H
#define ICSHARE_REWRITE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flows.h"
#include "maps.h"
#include "packet.h"

/* Return `check` after the bytes that it covers have changed by `difference`, a sum in ones' complement (RFC 1624). */
static __always_inline __u16 changed(__u16 check, __u32 difference)
{
	return ~fold((__u16)~check + (difference & 0xffff) + (difference >> 16));
}

/* By how much a header's checksum changes with one hop less: its word falls by 0x0100. */
#define HOP_DIFFERENCE bpf_htons(0xfeff)

/*
 * Write addresses and ports, and one hop less; the transport checksum is the caller's. The verifier does not remember
 * that parse() has found room for the headers: here and below, a last comparison tells it again.
 */
static __always_inline bool rewrite_addresses(struct packet *p, const struct found *found)
{
	const struct flow *flow = found->flow;

	if (p->v6) {
		struct flow6 *flow6 = flow6_of(found->number);

		if (!flow6 || (void *)(p->ip6 + 1) > p->end)
			return false;
		__builtin_memcpy(&p->ip6->saddr, flow6->addrs, 32);
		p->ip6->hop_limit--;
	} else {
		p->ip->check = changed(p->ip->check, flow->address_difference + HOP_DIFFERENCE);
		p->ip->saddr = flow->saddr;
		p->ip->daddr = flow->daddr;
		p->ip->ttl--;
	}
	*p->ports = flow->ports;
	return true;
}

static __always_inline bool rewrite_frame(struct packet *p, const struct found *found)
{
	__u32 difference = found->flow->address_difference + found->flow->port_difference;
	__u16 check;

	if (!rewrite_addresses(p, found))
		return false;
	if (p->proto == IPPROTO_TCP) {
		if ((void *)(p->tcp + 1) > p->end)
			return false;
		p->tcp->check = changed(p->tcp->check, difference);
	} else if (p->udp->check) {
		check = changed(p->udp->check, difference);
		p->udp->check = check ?: 0xffff;
	}
	return true;
}

/* Both addresses; three words, as there is no alignment to less. */
static __always_inline void set_macs(struct ethhdr *eth, const struct hop *hop)
{
	__u32 *to = (__u32 *)eth;
	const __u32 *from = (const __u32 *)hop->macs;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
}

/* Write the Ethernet header anew, with the tag that the link it leaves by wants. */
static __always_inline bool readdress(struct xdp_md *ctx, __u16 was, const struct hop *hop)
{
	struct vlan_header *tag;
	struct ethhdr *eth;
	__be16 proto;
	int moved = 0;

	if (was && !hop->vlan)
		moved = sizeof(*tag);
	else if (!was && hop->vlan)
		moved = -(int)sizeof(*tag);
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return false;
	proto = eth->h_proto;
	if (was) {
		tag = (void *)(eth + 1);
		if ((void *)(tag + 1) > (void *)(long)ctx->data_end)
			return false;
		proto = tag->proto;
	}
	if (moved) {
		if (bpf_xdp_adjust_head(ctx, moved))
			return false;
		eth = (void *)(long)ctx->data;
		if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
			return false;
	}
	set_macs(eth, hop);
	if (!hop->vlan) {
		eth->h_proto = proto;
		return true;
	}
	eth->h_proto = bpf_htons(ETH_P_8021Q);
	tag = (void *)(eth + 1);
	if ((void *)(tag + 1) > (void *)(long)ctx->data_end)
		return false;
	tag->tci = bpf_htons(hop->vlan);
	tag->proto = proto;
	return true;
}

/* Write what the packet becomes. The transport checksum goes by a helper, which knows how far it is computed yet. */
static __always_inline bool rewrite_skb(struct __sk_buff *skb, struct packet *p, const struct found *found,
					bool ethernet)
{
	__u32 check = (ethernet ? sizeof(struct ethhdr) : 0) + (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	__u64 flags = 0;

	if (p->proto == IPPROTO_TCP) {
		check += offsetof(struct tcphdr, check);
	} else {
		check += offsetof(struct udphdr, check);
		flags = BPF_F_MARK_MANGLED_0;
	}
	if (!rewrite_addresses(p, found))
		return false;
	return !bpf_l4_csum_replace(skb, check, 0, found->flow->address_difference, flags | BPF_F_PSEUDO_HDR) &&
	       !bpf_l4_csum_replace(skb, check, 0, found->flow->port_difference, flags);
}

/* Cut off what the frame has behind the IP packet, and find the headers again. */
static __always_inline bool trim(struct __sk_buff *skb, struct packet *p, bool ethernet)
{
	void *data, *end;

	if (bpf_skb_change_tail(skb, skb->len - p->padding, 0))
		return false;
	data = (void *)(long)skb->data;
	end = p->end = (void *)(long)skb->data_end;
	p->eth = data;
	if (ethernet)
		data += sizeof(struct ethhdr);
	p->ip = data;
	if (p->v6) {
		if ((void *)(p->ip6 + 1) > end)
			return false;
		p->tcp = (void *)(p->ip6 + 1);
	} else {
		if ((void *)(p->ip + 1) > end)
			return false;
		p->tcp = (void *)(p->ip + 1);
	}
	return (void *)(p->udp + 1) <= end;
}

/* Put an Ethernet header before a packet that came without. */
static __always_inline bool put_header(struct __sk_buff *skb, const struct hop *hop, bool v6)
{
	struct ethhdr *eth;

	if (bpf_skb_change_head(skb, sizeof(*eth), 0))
		return false;
	eth = (void *)(long)skb->data;
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return false;
	set_macs(eth, hop);
	eth->h_proto = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	return true;
}

#endif
