// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * New connections for the benchmark of the paths, opened and closed by both far ends without any socket, so that what is
 * measured is the gateway between them.
 *
 * `begin` is run by BPF_PROG_TEST_RUN with live frames, once for each connection; it sends a SYN from the client. It
 * writes the whole of each header, as frames are used again with all in them that the gateway has changed. `answer` is
 * attached to the links of both ends and answers each packet by the next one, by the rules of RFC 9293, out of nothing
 * but the packet itself; so a connection runs to its end at once, or is not counted.
 *
 *      client                       server
 *        SYN ------------------------->
 *        <------------------- SYN, ACK
 *        ACK ------------------------->
 *        <------------------- FIN, ACK
 *        RST, ACK -------------------->      counted
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual MIT/GPL";

#define FIRST_CLIENT_PORT 10000
#define CLIENT_PORTS 50000U
#define FIRST_SERVER_PORT 7000 /* the next one when all ports of the client are used up */
#define SERVER_PORTS 1000U
#define CLIENT_SEQUENCE 1000
#define SERVER_SEQUENCE 5000
#define HOPS 64

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_ACK 0x10

/* Written by userspace before each run. */
volatile struct {
	__u32 next;    /* number of the next connection; its ports are of it alone */
	__u32 ifindex; /* the link that sends */
	__be32 client, server;
	__u8 dmac[ETH_ALEN], smac[ETH_ALEN];
} opening SEC(".data.opening") = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} closed SEC(".maps");

#define FRAME_BYTES (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))
#define TCP_LENGTH (sizeof(struct iphdr) + sizeof(struct tcphdr))

static __always_inline __u16 folded(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static __always_inline __u32 sum_of(const void *from, __u32 halves)
{
	const __u16 *word = from;
	__u32 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < halves; i++)
		sum += word[i];
	return sum;
}

static __always_inline void write_ip(struct iphdr *ip, __be32 saddr, __be32 daddr)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = bpf_htons(TCP_LENGTH);
	ip->id = 0;
	ip->frag_off = bpf_htons(0x4000); /* do not fragment */
	ip->ttl = HOPS;
	ip->protocol = IPPROTO_TCP;
	ip->check = 0;
	ip->saddr = saddr;
	ip->daddr = daddr;
	ip->check = folded(sum_of(ip, 10));
}

static __always_inline void write_tcp(struct iphdr *ip, __u32 seq, __u32 ack, __u8 flags)
{
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 sum;

	tcp->seq = bpf_htonl(seq);
	tcp->ack_seq = bpf_htonl(ack);
	((__u8 *)tcp)[12] = 5 << 4;
	((__u8 *)tcp)[13] = flags;
	tcp->window = bpf_htons(0xffff);
	tcp->check = 0;
	tcp->urg_ptr = 0;
	sum = sum_of(&ip->saddr, 4) + bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(*tcp)) + sum_of(tcp, 10);
	tcp->check = folded(sum);
}

SEC("xdp")
int begin(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 number;

	if (data + FRAME_BYTES > end)
		return XDP_DROP;
#pragma unroll
	for (int i = 0; i < ETH_ALEN; i++) {
		eth->h_dest[i] = opening.dmac[i];
		eth->h_source[i] = opening.smac[i];
	}
	eth->h_proto = bpf_htons(ETH_P_IP);
	number = opening.next++;
	tcp->source = bpf_htons(FIRST_CLIENT_PORT + number % CLIENT_PORTS);
	tcp->dest = bpf_htons(FIRST_SERVER_PORT + number / CLIENT_PORTS % SERVER_PORTS);
	write_ip(ip, opening.client, opening.server);
	write_tcp(ip, CLIENT_SEQUENCE, 0, FLAG_SYN);
	return bpf_redirect(opening.ifindex, 0);
}

static __always_inline bool is_server(__be16 port)
{
	__u16 number = bpf_ntohs(port);

	return number >= FIRST_SERVER_PORT && number < FIRST_SERVER_PORT + SERVER_PORTS;
}

static __always_inline int reply(struct xdp_md *ctx, struct ethhdr *eth, __u32 seq, __u32 ack, __u8 flags)
{
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	__be16 port = tcp->source;
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
	tcp->source = tcp->dest;
	tcp->dest = port;
	write_ip(ip, ip->daddr, ip->saddr);
	write_tcp(ip, seq, ack, flags);
	/* Not XDP_TX: a veth wakes its peer up for that only when the peer has a program as well. */
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

SEC("xdp")
int answer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 seq, ack, zero = 0;
	__u64 *count;
	__u8 flags;

	if (data + FRAME_BYTES > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	seq = bpf_ntohl(tcp->seq);
	ack = bpf_ntohl(tcp->ack_seq);
	flags = ((__u8 *)tcp)[13];
	if (is_server(tcp->dest)) {
		if (flags == FLAG_SYN)
			return reply(ctx, eth, SERVER_SEQUENCE, seq + 1, FLAG_SYN | FLAG_ACK);
		if (flags == FLAG_ACK)
			return reply(ctx, eth, ack, seq, FLAG_FIN | FLAG_ACK);
		count = bpf_map_lookup_elem(&closed, &zero);
		if (count && flags == (FLAG_RST | FLAG_ACK))
			++*count;
		return XDP_DROP;
	}
	if (is_server(tcp->source)) {
		if (flags == (FLAG_SYN | FLAG_ACK))
			return reply(ctx, eth, ack, seq + 1, FLAG_ACK);
		if (flags == (FLAG_FIN | FLAG_ACK))
			return reply(ctx, eth, ack, seq + 1, FLAG_RST | FLAG_ACK);
		return XDP_DROP;
	}
	return XDP_PASS;
}
