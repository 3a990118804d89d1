/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is asked about a flow that the cache has no answer for: whether conntrack knows the connection and the ruleset
 * has granted it, where the FIB sends it, and whose bytes it is counted as. The answers are noted in the cache.
 */
#ifndef ICSHARE_ASK_H
#define ICSHARE_ASK_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "accounts.h"
#include "addresses.h"
#include "clock.h"
#include "fastpath.h"
#include "flows.h"
#include "kernel.h"
#include "maps.h"
#include "packet.h"
#include "stations.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif

/* The number of the last change of any ruleset in the connection's namespace; 0 where the kernel does not tell. */
static __always_inline __u32 ruleset_sequence(struct nf_conn *ct)
{
	struct net *net = ct->ct_net.net;
	struct nftables_pernet *nft;
	struct net_generic *generic;
	unsigned int id = 0;

	if (bpf_core_field_exists(net->nft.base_seq))
		return BPF_CORE_READ(net, nft.base_seq);
	if (!bpf_core_field_exists(struct nftables_pernet, base_seq) || !&nf_tables_net_id)
		return 0;
	bpf_probe_read_kernel(&id, sizeof(id), &nf_tables_net_id);
	generic = BPF_CORE_READ(net, gen);
	bpf_probe_read_kernel(&nft, sizeof(nft), (void **)generic + id);
	return BPF_CORE_READ(nft, base_seq);
}

/* A helper of a connection that another one has announced is in no bit of its status. */
static __always_inline bool has_helper_or_timeout(struct nf_conn *ct)
{
	struct nf_ct_ext *ext = ct->ext;

	return ext && (BPF_CORE_READ(ext, offset[NF_CT_EXT_HELPER]) || BPF_CORE_READ(ext, offset[NF_CT_EXT_TIMEOUT]));
}

static __always_inline enum reason judge(struct nf_conn *ct, __u8 proto)
{
	unsigned long status = ct->status;

	if ((status & (IPS_ASSURED | IPS_CONFIRMED | IPS_DYING | IPS_TEMPLATE | IPS_UNTRACKED)) !=
	    (IPS_ASSURED | IPS_CONFIRMED))
		return NOT_ASSURED;
	if (proto == IPPROTO_TCP && ct->proto.tcp.state != TCP_CONNTRACK_ESTABLISHED)
		return NOT_ASSURED;
	if (status & (IPS_SEQ_ADJUST | IPS_HELPER | IPS_OFFLOAD | IPS_FIXED_TIMEOUT) || has_helper_or_timeout(ct))
		return HELPER;
	if (ct->mark & ~(FAST_ORIGINAL | FAST_REPLY))
		return KEPT;
	return FAST;
}

static __always_inline void set_tuple(struct bpf_sock_tuple *tuple, const struct packet *p)
{
	if (p->v6) {
		__builtin_memcpy(tuple->ipv6.saddr, &p->ip6->saddr, 32);
		tuple->ipv6.sport = source_port(*p->ports);
		tuple->ipv6.dport = destination_port(*p->ports);
	} else {
		tuple->ipv4.saddr = p->ip->saddr;
		tuple->ipv4.daddr = p->ip->daddr;
		tuple->ipv4.sport = source_port(*p->ports);
		tuple->ipv4.dport = destination_port(*p->ports);
	}
}

/* Take the translation from the tuple of the other direction, which is the mirror of what this packet becomes. */
static __always_inline void translate(struct flow *flow, struct flow6 *flow6, const struct nf_conntrack_tuple *tuple,
				      bool v6)
{
	__be16 *ports = (__be16 *)&flow->ports;

	if (v6) {
		BPF_CORE_READ_INTO((__be32(*)[4])flow6->addrs, tuple, dst.u3.all);
		BPF_CORE_READ_INTO((__be32(*)[4])(flow6->addrs + 4), tuple, src.u3.all);
	}
	flow->saddr = tuple->dst.u3.all[0];
	flow->daddr = tuple->src.u3.all[0];
	ports[0] = tuple->dst.u.all;
	ports[1] = tuple->src.u.all;
}

static __always_inline void set_differences(struct flow *flow, struct flow6 *flow6, struct packet *p)
{
	__be32 ports = *p->ports;
	__s64 sum;

	if (p->v6)
		sum = bpf_csum_diff((__be32 *)&p->ip6->saddr, 32, flow6->addrs, 32, 0);
	else
		sum = bpf_csum_diff(&p->ip->saddr, 8, &flow->saddr, 8, 0);
	flow->address_difference = fold(sum);
	flow->port_difference = fold(bpf_csum_diff(&ports, 4, &flow->ports, 4, 0));
}

/* Return the link of the segment that an address belongs to, NULL for none. */
static __noinline __u32 *find_segment(const __be32 *address, bool v6)
{
	struct network_key key = {.prefixlen = 128};

	map_address(key.addr, address, v6);
	return bpf_map_lookup_elem(&networks, &key);
}

static __always_inline enum reason check_source(const struct link *link, const __be32 *address, bool v6)
{
	__u32 *segment = find_segment(address, v6);

	if (link->public)
		return segment ? SPOOFED : FAST;
	return segment && *segment == link->l3 ? FAST : SPOOFED;
}

/* Ask the FIB as the kernel would: by address and port after DNAT and those before SNAT. */
static __always_inline enum reason find_route(void *ctx, const struct flow *flow, const struct flow6 *flow6,
					      const struct packet *p, const struct link *link, enum hook hook,
					      struct hop *hop, bool *public)
{
	struct bpf_fib_lookup fib = {};
	struct egress *out;
	long answer;

	fib.family = p->v6 ? AF_INET6 : AF_INET;
	fib.l4_protocol = p->proto;
	fib.tot_len = 1; /* so that the MTU is told, and nothing refused for it */
	fib.ifindex = link->l3;
	fib.sport = source_port(*p->ports);
	fib.dport = destination_port(flow->ports);
	if (p->v6) {
		__builtin_memcpy(fib.ipv6_src, &p->ip6->saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, flow6->addrs + 4, 16);
		fib.flowinfo = *(__be32 *)p->ip6 & bpf_htonl(0x0fffffff);
	} else {
		fib.ipv4_src = p->ip->saddr;
		fib.ipv4_dst = flow->daddr;
		fib.tos = p->ip->tos;
	}
	answer = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (answer != BPF_FIB_LKUP_RET_SUCCESS && answer != BPF_FIB_LKUP_RET_NO_NEIGH)
		return NO_ROUTE;
	out = bpf_map_lookup_elem(&egress, &fib.ifindex);
	if (!out || fib.ifindex == link->l3)
		return EGRESS;
	if (answer == BPF_FIB_LKUP_RET_NO_NEIGH && !(out->flags & EGRESS_NO_ETHERNET))
		return NO_NEIGHBOUR;
	if (hook == XDP && out->flags & (EGRESS_NO_XDP | EGRESS_NO_ETHERNET))
		return UNSENDABLE;
	copy_mac(hop->macs, fib.dmac);
	copy_mac(hop->macs + 6, fib.smac);
	copy_mac(hop->in_mac, link->mac);
	hop->ethernet = !(out->flags & EGRESS_NO_ETHERNET);
	hop->mtu = fib.mtu_result;
	hop->vlan = out->vlan;
	hop->bridge = hook == XDP && out->flags & EGRESS_BRIDGE;
	hop->kind = KIND(hook, p->v6);
	hop->l3 = fib.ifindex;
	hop->ifindex = hook == XDP ? out->ifindex : fib.ifindex;
	*public = out->public;
	return FAST;
}

/* Find out whose bytes the flow's are; those between clients count for nobody, in element 0. */
static __always_inline enum reason find_accounts(struct flow *flow, struct flow6 *flow6, struct nf_conn *ct,
						 const struct packet *p, const struct link *link, bool public,
						 bool original)
{
	struct account account = {};
	__be16 port, external;

	flow->client = flow->mapping = 0;
	flow->sent = public;
	if (public == link->public)
		return FAST;
	if (flow->sent)
		map_address(account.addr, source_address(p), p->v6);
	else
		map_address(account.addr, p->v6 ? flow6->addrs + 4 : &flow->daddr, p->v6);
	flow->client = open_account(&account);
	if (!flow->client)
		return NO_ACCOUNT;
	if (original != !flow->sent || !(ct->status & IPS_DST_NAT))
		return FAST; /* begun by the client, or not by a mapping */
	if (flow->sent) {
		port = source_port(*p->ports);
		external = source_port(flow->ports);
	} else {
		port = destination_port(flow->ports);
		external = destination_port(*p->ports);
	}
	account.port = bpf_ntohs(port);
	account.external = bpf_ntohs(external);
	account.proto = p->proto;
	flow->mapping = open_account(&account);
	return flow->mapping ? FAST : NO_ACCOUNT;
}

/* The answers of ask_about() to what the ruleset has granted: where a packet goes, and how it is translated. */
static __always_inline enum reason find_way_out(void *ctx, struct packet *p, struct found *found, struct nf_conn *ct,
						const struct link *link, bool original, enum hook hook)
{
	struct flow6 *flow6 = flow6_of(found->number);
	struct flow *flow = found->flow;
	struct hop wanted = {};
	enum reason reason;
	bool public = false;

	if (!flow6)
		return NO_ROOM;
	if (original)
		translate(flow, flow6, &ct->tuplehash[1].tuple, p->v6);
	else
		translate(flow, flow6, &ct->tuplehash[0].tuple, p->v6);
	set_differences(flow, flow6, p);
	reason = check_source(link, source_address(p), p->v6);
	if (reason)
		return reason;
	reason = find_route(ctx, flow, flow6, p, link, hook, &wanted, &public);
	if (reason)
		return reason;
	/* The grant may be for another way: what clients say to each other does not leave when the route to one has gone. */
	if (public && (find_segment(p->v6 ? flow6->addrs : &flow->saddr, p->v6) ||
		       find_segment(p->v6 ? flow6->addrs + 4 : &flow->daddr, p->v6)))
		return EGRESS;
	/* So may it when the route leads out by another link than the one that was asked about before. */
	found->hop = flow->hop ? hop_of(flow->hop) : NULL;
	flow->hop = 0;
	if (found->hop && found->hop->l3 != wanted.l3) {
		flow->generation--; /* so that the next packet takes the grant back */
		return UNGRANTED;
	}
	reason = find_accounts(flow, flow6, ct, p, link, public, original);
	if (reason)
		return reason;
	flow->hop = take_hop(&wanted);
	found->hop = hop_of(flow->hop);
	if (!flow->hop || !found->hop)
		return NO_ROOM;
	return found->hop->bridge ? find_station(found->hop) : FAST;
}

/* Ask everybody about a packet's flow, and note the answer in the cache. */
static __always_inline enum reason ask_about(void *ctx, struct packet *p, const struct key *key, __u32 hash,
					     struct found *found, struct nf_conn *ct, const struct link *link,
					     bool original, enum hook hook)
{
	__u32 bit = original ? FAST_ORIGINAL : FAST_REPLY, generation = config.generation, time = now();
	__u32 sequence = ruleset_sequence(ct);
	struct flow *flow = found->flow;
	bool current = false, once_more = flow && flow->state == CLEARED;
	struct notes *noted;
	enum reason reason;

	reason = judge(ct, p->proto);
	if (reason) {
		if (flow)
			forget_flow(flow);
		return reason;
	}
	if (!flow && !begin_flow(key, hash, addresses6(p), found))
		return NO_ROOM;
	noted = notes_of(found->number);
	if (!noted)
		return NO_ROOM;
	/* Where the kernel does not tell when rulesets change, they may have. */
	if (flow)
		current = flow->generation == generation && noted->base_seq == sequence &&
			  (flow->state != ACTIVE || sequence) && time - noted->cleared < GRANT_ENDS;
	flow = found->flow;
	flow->generation = generation;
	noted->base_seq = sequence;
	flow->checked = time;
	/*
	 * Neither we nor nftables change the mark in one piece: who grants or clears the other direction on another
	 * CPU in the same moment may write this bit back. By the next tick that is done, and does not happen again so
	 * soon.
	 */
	if ((!current || once_more) && !(config.flags & CONFIG_NO_CACHE)) {
		ct->mark &= ~bit;
		noted->cleared = time;
		flow->state = current ? PENDING : CLEARED;
		return UNGRANTED;
	}
	if (!(ct->mark & bit)) {
		flow->state = PENDING;
		return UNGRANTED;
	}
	reason = find_way_out(ctx, p, found, ct, link, original, hook);
	flow->state = reason ? PENDING : ACTIVE; /* what is pending is asked about again soon */
	if (!reason)
		bpf_ct_change_timeout(ct, p->proto == IPPROTO_TCP ? config.tcp_established_ms : config.udp_stream_ms);
	return reason;
}

static __always_inline enum reason ask(void *ctx, struct packet *p, const struct key *key, __u32 hash,
				       struct found *found, const struct link *link, enum hook hook)
{
	struct bpf_ct_opts___12 options = {.netns_id = -1, .l4proto = p->proto};
	struct bpf_sock_tuple tuple = {};
	__u32 size = p->v6 ? sizeof(tuple.ipv6) : sizeof(tuple.ipv4);
	struct flow *flow = found->flow;
	enum reason reason;
	struct nf_conn *ct;

	if (flow && flow->state != ACTIVE && flow->generation == config.generation &&
	    now() - flow->checked < (flow->state == CLEARED ? 1 : PENDING_AGAIN))
		return UNGRANTED;
	set_tuple(&tuple, p);
	if (hook == XDP)
		ct = bpf_xdp_ct_lookup(ctx, &tuple, size, &options, sizeof(options));
	else
		ct = bpf_skb_ct_lookup(ctx, &tuple, size, &options, sizeof(options));
	if (!ct) {
		if (flow)
			forget_flow(flow);
		return UNTRACKED;
	}
	reason = ask_about(ctx, p, key, hash, found, ct, link, options.dir == IP_CT_DIR_ORIGINAL, hook);
	bpf_ct_release(ct);
	return reason;
}

#endif
