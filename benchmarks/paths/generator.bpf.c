/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * What the benchmark of the paths needs of the kernel: a source of small packets, a place where they are counted and end,
 * and the least that a gateway can do with one.
 *
 * `generate` is run by BPF_PROG_TEST_RUN with live frames: as often as asked for, on one CPU, its packets leaving by a
 * link as if they had come in by another. Each packet is written anew, as frames are used again.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual MIT/GPL";

#define FIRST_PORT 10000
#define PORT_BITS 15
#define SERVICE_PORT 9 /* discard; more flows than 2^PORT_BITS use the ports above as well */
#define IP_BYTES 46

struct packet {
	__u64 words[5]; /* Ethernet and IPv4 headers, beginning of UDP's */
	__u64 zero;
};

/* Written by userspace before each run. */
volatile struct {
	struct packet packet;
	__u32 flows;   /* so many, one packet of each in turn */
	__u32 next;
	__u32 ifindex; /* leaves by this link */
	__u32 answers; /* ports swapped: from the service */
} source SEC(".data.source") = {};

volatile struct {
	__u32 ifindex;
} out SEC(".data.out") = {};

struct seen {
	__u64 packets;
	__be32 saddr;
	__be32 daddr;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct udphdr *udp = data + sizeof(struct ethhdr) + sizeof(struct iphdr);
	__u64 *words = data;
	__u32 flow = source.next;
	__be16 client, service;

	if ((void *)words + sizeof(struct packet) > end)
		return XDP_DROP;
	source.next = flow + 1 < source.flows ? flow + 1 : 0;
#pragma unroll
	for (int i = 0; i < 5; i++)
		words[i] = source.packet.words[i];
	client = bpf_htons(FIRST_PORT + (flow & ((1 << PORT_BITS) - 1)));
	service = bpf_htons(SERVICE_PORT + (flow >> PORT_BITS));
	udp->source = source.answers ? service : client;
	udp->dest = source.answers ? client : service;
	udp->len = bpf_htons(IP_BYTES - sizeof(struct iphdr));
	udp->check = 0;
	return bpf_redirect(source.ifindex, 0);
}

/* Ends packets of the source's size, and passes on everything else: ARP, and whatever lives around here. */
SEC("xdp")
int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct seen *here;
	__u32 zero = 0;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP ||
	    ip->tot_len != bpf_htons(IP_BYTES))
		return XDP_PASS;
	here = bpf_map_lookup_elem(&seen, &zero);
	if (here) {
		here->packets++;
		here->saddr = ip->saddr;
		here->daddr = ip->daddr;
	}
	return XDP_DROP;
}

/* The limit: sends everything on as it is. */
SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	(void)ctx;
	return bpf_redirect(out.ifindex, 0);
}
