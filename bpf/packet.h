/* SPDX-License-Identifier: GPL-2.0-only */
/* One packet, and what is read of it. Nothing in here knows of flows. */
#ifndef ICSHARE_PACKET_H
#define ICSHARE_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "fastpath.h"

#define IP_DF 0x4000
#define TCP_OFFSET_FLAGS 12 /* of data offset and flags in the TCP header */
#define TCP_FIN_SYN_RST_URG 0x27
#define TCP_ACK 0x10

struct vlan_header {
	__be16 tci;
	__be16 proto;
};

/* Pointers into the packet are valid until a helper changes it. */
struct packet {
	struct ethhdr *eth; /* NULL on links without */
	union {
		struct iphdr *ip;
		struct ipv6hdr *ip6;
	};
	union {
		struct tcphdr *tcp;
		struct udphdr *udp;
		__be32 *ports; /* source and destination in one word */
	};
	void *end;
	__u32 length;  /* of the IP packet */
	__u32 headers; /* of IP and transport, of which every segment has its own */
	__u32 padding; /* of the frame, behind the IP packet */
	__u16 vlan;
	__u8 proto;
	bool v6;
};

/* The source address, behind which the destination is. */
static __always_inline const __be32 *source_address(const struct packet *p)
{
	return p->v6 ? (const __be32 *)&p->ip6->saddr : &p->ip->saddr;
}

/* Both addresses of IPv6, NULL for IPv4. */
static __always_inline const __be32 *addresses6(const struct packet *p)
{
	return p->v6 ? (const __be32 *)&p->ip6->saddr : NULL;
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

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/*
 * Whether the transport checksum has been left to hardware. A guest's or a veth's other end hands over what has none,
 * and nothing that XDP sees says so, but for what is in the checksum's place: the sum of the pseudo-header (the kernel's
 * CHECKSUM_PARTIAL). One in 65,535 packets has that by chance, and goes to the kernel as well.
 */
static __always_inline bool is_partial(const struct packet *p)
{
	const __be32 *words = source_address(p);
	__u64 sum = bpf_htons(p->proto);
	__u16 check, difference;

	/* The verifier does not remember that parse() has found room for the headers. */
	if ((void *)(p->v6 ? words + 8 : words + 2) > p->end)
		return true;
	if (p->proto == IPPROTO_TCP) {
		if ((void *)(p->tcp + 1) > p->end)
			return true;
		check = p->tcp->check;
	} else {
		if ((void *)(p->udp + 1) > p->end)
			return true;
		check = p->udp->check;
	}
	if (p->v6) {
#pragma unroll
		for (int i = 0; i < 8; i++)
			sum += words[i];
		sum += bpf_htons(p->length - sizeof(struct ipv6hdr));
	} else {
		sum += (__u64)words[0] + words[1] + bpf_htons(p->length - sizeof(struct iphdr));
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	difference = fold((sum & 0xffff) + (sum >> 16) + (__u16)~check);
	return !difference || difference == 0xffff;
}

static __always_inline enum reason parse_tcp(struct packet *p, __u32 network, void *end)
{
	__u8 *raw = (__u8 *)p->tcp;
	__u32 size;

	if ((void *)(p->tcp + 1) > end)
		return SHORT;
	size = (raw[TCP_OFFSET_FLAGS] >> 4) * 4;
	if (size < sizeof(struct tcphdr) || network + size > p->length)
		return SHORT;
	/* What conntrack calls valid without any of the others. */
	if ((raw[TCP_OFFSET_FLAGS + 1] & (TCP_FIN_SYN_RST_URG | TCP_ACK)) != TCP_ACK)
		return TCP_FLAGS;
	p->headers = network + size;
	return FAST;
}

static __always_inline enum reason parse_udp(struct packet *p, __u32 network, void *end)
{
	__u32 size;

	if ((void *)(p->udp + 1) > end)
		return SHORT;
	size = bpf_ntohs(p->udp->len);
	/* What lies behind the datagram is under no checksum, so conntrack calls it invalid. */
	if (size < sizeof(struct udphdr) || network + size != p->length)
		return SHORT;
	if (p->v6 && !p->udp->check)
		return CHECKSUM;
	p->headers = network + sizeof(struct udphdr);
	return FAST;
}

static __always_inline enum reason parse_ip(struct packet *p, __u32 available, void *end)
{
	struct iphdr *ip = p->ip;
	__u32 *words = (__u32 *)ip;
	__u64 sum = 0;

	if ((void *)(ip + 1) > end)
		return SHORT;
	if (*(__u8 *)ip != 0x45)
		return OPTIONS;
	if (ip->frag_off & bpf_htons((__u16)~IP_DF))
		return FRAGMENT;
#pragma unroll
	for (int i = 0; i < 5; i++)
		sum += words[i];
	sum = (sum & 0xffffffff) + (sum >> 32);
	if (fold((sum & 0xffff) + (sum >> 16)) != 0xffff)
		return CHECKSUM;
	if (ip->ttl <= 1)
		return HOP_LIMIT;
	p->length = bpf_ntohs(ip->tot_len);
	if (p->length < sizeof(*ip) || p->length > available)
		return SHORT;
	p->padding = available - p->length;
	p->proto = ip->protocol;
	p->tcp = (void *)(ip + 1);
	return FAST;
}

static __always_inline enum reason parse_ip6(struct packet *p, __u32 available, void *end)
{
	struct ipv6hdr *ip6 = p->ip6;

	if ((void *)(ip6 + 1) > end)
		return SHORT;
	if (ip6->version != 6)
		return NOT_IP;
	if (ip6->hop_limit <= 1)
		return HOP_LIMIT;
	p->length = bpf_ntohs(ip6->payload_len) + sizeof(*ip6);
	if (p->length > available)
		return SHORT;
	p->padding = available - p->length;
	p->proto = ip6->nexthdr;
	p->tcp = (void *)(ip6 + 1);
	return FAST;
}

/*
 * Read a packet from `data` on. That is the Ethernet header, unless `protocol` tells what is there on a link without.
 * `size` is that of the whole frame, of which only what lies before `end` can be looked at.
 */
static __always_inline enum reason parse(struct packet *p, void *data, void *end, __u32 size, __be16 protocol)
{
	enum reason reason;
	__be16 proto;
	__u32 offset = 0;

	p->end = end;
	p->vlan = 0;
	p->eth = NULL;
	if (!protocol) {
		struct ethhdr *eth = data;

		if ((void *)(eth + 1) > end)
			return SHORT;
		p->eth = eth;
		proto = eth->h_proto;
		p->ip = (void *)(eth + 1);
		offset = sizeof(*eth);
		if (proto == bpf_htons(ETH_P_8021Q)) {
			struct vlan_header *tag = (void *)(eth + 1);

			if ((void *)(tag + 1) > end)
				return SHORT;
			p->vlan = bpf_ntohs(tag->tci) & 0xfff;
			if (!p->vlan)
				return NOT_IP; /* a priority tag: bridges differ about it */
			proto = tag->proto;
			p->ip = (void *)(tag + 1);
			offset += sizeof(*tag);
		}
	} else {
		proto = protocol;
		p->ip = data;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		p->v6 = false;
		reason = parse_ip(p, size - offset, end);
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		p->v6 = true;
		reason = parse_ip6(p, size - offset, end);
	} else {
		return NOT_IP;
	}
	if (reason)
		return reason;
	offset = p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	if (p->proto == IPPROTO_TCP)
		return parse_tcp(p, offset, end);
	if (p->proto == IPPROTO_UDP)
		return parse_udp(p, offset, end);
	return NOT_TCP_UDP;
}

#endif
