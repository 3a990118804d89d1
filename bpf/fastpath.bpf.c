// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast path: packets of connections that the kernel has let through are translated and sent on at once.
 *
 * Theory of operation
 *
 * Conntrack is the only truth about connections, the FIB about routes, and the ruleset about what is allowed; this
 * program remembers their answers for a second at the most, and repeats them. What it does not understand at a glance
 * (first and last packets, fragments, options, errors, whatever is malformed) it passes on to the kernel unchanged.
 *
 * The ruleset grants. Its last chain sets a bit of the conntrack mark, one for each direction, on what has come through
 * all of it. A flow that is new here, whose policy may have changed since, or that has been fast for half a minute, is
 * made to prove it again: its bit is cleared, its packets go to the kernel, and only when the bit is set once more is the
 * flow sent on from here. So nothing is ever faster than the decision about it: whatever drops a packet in the
 * kernel, be it a firewall of somebody else, keeps it from being fast as well. Policy may have changed when userspace says so
 * (`config.generation`), or when anybody has changed any nftables ruleset (`base_seq`), which is looked at once a second.
 *
 * Once a second a flow's packet asks conntrack and the FIB again, and refreshes the connection's timeout; so a connection
 * that has ended, or is flushed, leaves within a second, and one that goes on is not forgotten. Once in half a minute
 * one packet of each flow goes through the kernel (see above), which keeps neighbours and bridges from forgetting.
 *
 * One object, three programs that share all maps: icshare_xdp on physical links, icshare_tc on links with Ethernet
 * headers and icshare_tc_ip on links without. A bridge has its packets sent out by one of its ports: XDP is below the
 * bridge, so it learns by itself where stations are; tc is above it and leaves that to the bridge.
 *
 * Bytes are counted by client and by port mapping, in counters of each CPU, so nothing is lost when the cache forgets a
 * flow, and reading them costs no look at the flows.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "accounts.h"
#include "fastpath.h"
#include "flows.h"
#include "kernel.h"
#include "maps.h"
#include "packet.h"
#include "small.h"
#include "stations.h"

char _license[] SEC("license") = "GPL";

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif

/* ----------------------------------------------------------------------------------------------- questions */

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

static __always_inline bool has_timeout_policy(struct nf_conn *ct)
{
	struct nf_ct_ext *ext = ct->ext;

	return ext && BPF_CORE_READ(ext, offset[NF_CT_EXT_TIMEOUT]);
}

static __always_inline enum reason judge(struct nf_conn *ct, __u8 proto)
{
	unsigned long status = ct->status;

	if ((status & (IPS_ASSURED | IPS_CONFIRMED | IPS_DYING | IPS_TEMPLATE | IPS_UNTRACKED)) !=
	    (IPS_ASSURED | IPS_CONFIRMED))
		return NOT_ASSURED;
	if (proto == IPPROTO_TCP && ct->proto.tcp.state != TCP_CONNTRACK_ESTABLISHED)
		return NOT_ASSURED;
	if (status & (IPS_SEQ_ADJUST | IPS_HELPER | IPS_OFFLOAD | IPS_FIXED_TIMEOUT) || has_timeout_policy(ct))
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
#define TRANSLATE(flow, flow6, tuple_, v6_)                                                                            \
	do {                                                                                                           \
		if (v6_) {                                                                                             \
			BPF_CORE_READ_INTO((__be32(*)[4])&(flow6)->addrs[0], &(tuple_), dst.u3.all);                    \
			BPF_CORE_READ_INTO((__be32(*)[4])&(flow6)->addrs[4], &(tuple_), src.u3.all);                    \
		}                                                                                                      \
		(flow)->saddr = (tuple_).dst.u3.all[0];                                                                 \
		(flow)->daddr = (tuple_).src.u3.all[0];                                                                 \
		set_ports(flow, (tuple_).dst.u.all, (tuple_).src.u.all);                                                \
	} while (0)

static __always_inline void set_ports(struct flow *flow, __be16 source, __be16 destination)
{
	__be16 *ports = (__be16 *)&flow->ports;

	ports[0] = source;
	ports[1] = destination;
}

static __always_inline void set_differences(struct flow *flow, struct flow6 *flow6, struct packet *p)
{
	__be32 ports = *p->ports;
	__s64 sum;

	if (p->v6) {
		__be32 old[8];

		__builtin_memcpy(old, &p->ip6->saddr, 32);
		sum = bpf_csum_diff(old, 32, flow6->addrs, 32, 0);
	} else {
		__be32 old[2] = {p->ip->saddr, p->ip->daddr}, new[2] = {flow->saddr, flow->daddr};

		sum = bpf_csum_diff(old, 8, new, 8, 0);
	}
	flow->address_difference = fold(sum);
	flow->port_difference = fold(bpf_csum_diff(&ports, 4, &flow->ports, 4, 0));
}

/* Return the link of the segment that an address belongs to, NULL for none. */
static __always_inline __u32 *find_segment(const __be32 *address, bool v6)
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

/* Ask the FIB as the kernel would: by the address after DNAT and the one before SNAT. */
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
	fib.sport = source_port(flow->ports);
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
static __always_inline enum reason find_accounts(struct flow *flow, struct flow6 *flow6, struct nf_conn *ct, const struct packet *p,
						 const struct link *link, bool public, bool original)
{
	struct account account = {};
	__be16 port, external;

	flow->client = flow->mapping = 0;
	flow->sent = public;
	if (public == link->public)
		return FAST;
	if (flow->sent)
		map_address(account.addr, p->v6 ? (__be32 *)&p->ip6->saddr : &p->ip->saddr, p->v6);
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
		TRANSLATE(flow, flow6, ct->tuplehash[1].tuple, p->v6);
	else
		TRANSLATE(flow, flow6, ct->tuplehash[0].tuple, p->v6);
	set_differences(flow, flow6, p);
	reason = check_source(link, p->v6 ? (__be32 *)&p->ip6->saddr : &p->ip->saddr, p->v6);
	if (reason)
		return reason;
	reason = find_route(ctx, flow, flow6, p, link, hook, &wanted, &public);
	if (reason)
		return reason;
	/* The grant may be for another way: what clients say to each other does not leave when the route to one has gone. */
	if (public && (find_segment(p->v6 ? flow6->addrs : &flow->saddr, p->v6) ||
		       find_segment(p->v6 ? flow6->addrs + 4 : &flow->daddr, p->v6)))
		return EGRESS;
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
	if (!flow && !begin_flow(key, hash, p->v6 ? (__be32 *)&p->ip6->saddr : NULL, found))
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
	 * Neither we nor nftables change the mark in one piece: who grants or clears the other direction on another CPU in
	 * the same moment may write this bit back. By the next tick that is done, and does not happen again so soon.
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

/* Find what to do with a packet, from the cache or by asking; FAST sets all of `found`. */
static __always_inline enum reason look_up(void *ctx, struct packet *p, __u32 ifindex, enum hook hook,
					   struct found *found)
{
	struct flow *flow;
	struct link *link;
	struct hop *hop;
	struct key key;
	__u32 sum;

	set_key(&key, p, ifindex, hook);
	sum = hash(&key);
	find_flow(&key, sum, p->v6 ? (__be32 *)&p->ip6->saddr : NULL, found);
	flow = found->flow;
	if (flow && flow->state == ACTIVE && flow->generation == config.generation &&
	    now() - flow->checked < ASK_AGAIN && !(config.flags & CONFIG_NO_CACHE)) {
		hop = hop_of(flow->hop);
		if (!hop || (p->eth && !same_mac(p->eth->h_dest, hop->in_mac)))
			return ADDRESSEE;
		found->hop = hop;
		if (hook == XDP && hop->bridge && hop->stations != *(volatile __u32 *)&stations_changed)
			return find_station(hop);
		return FAST;
	}
	link = find_link(ifindex, p->vlan);
	if (!link)
		return LINK;
	if (p->eth && !same_mac(p->eth->h_dest, link->mac))
		return ADDRESSEE;
	if (hook == XDP && p->eth)
		learn(link, ifindex, p->eth->h_source);
	return ask(ctx, p, &key, sum, found, link, hook);
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
	if (!find_flow(&key, hash(&key), p->v6 ? (__be32 *)&p->ip6->saddr : NULL, &found))
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
		mirror.saddr = words[0] ^ words[1] ^ words[2] ^ words[3];
		mirror.daddr = words[4] ^ words[5] ^ words[6] ^ words[7];
		find_flow(&mirror, hash(&mirror), words, &other);
	} else {
		find_flow(&mirror, hash(&mirror), NULL, &other);
	}
	if (other.flow)
		forget_flow(other.flow);
	forget_flow(flow);
}

/* ----------------------------------------------------------------------------------------------- rewriting */

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

/* ----------------------------------------------------------------------------------------------- XDP */

static __always_inline bool rewrite(struct packet *p, const struct found *found)
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

SEC("xdp")
int icshare_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct found found = {};
	struct packet p = {};
	enum reason reason;

	reason = parse(&p, data, end, end - data, 0);
	if (!reason)
		reason = look_up(ctx, &p, ctx->ingress_ifindex, XDP, &found);
	if (!reason && p.length > found.hop->mtu)
		reason = TOO_BIG;
	if (reason == TCP_FLAGS)
		end_flow(&p, ctx->ingress_ifindex, XDP);
	if (reason) {
		struct link *link = p.eth && reason < UNTRACKED ? find_link(ctx->ingress_ifindex, p.vlan) : NULL;

		if (link)
			learn(link, ctx->ingress_ifindex, p.eth->h_source);
		note(reason);
		return XDP_PASS;
	}
	if (!rewrite(&p, &found))
		return XDP_ABORTED;
	if (!p.padding && !p.vlan && !found.hop->vlan)
		set_macs(p.eth, found.hop);
	else if ((p.padding && bpf_xdp_adjust_tail(ctx, -(int)p.padding)) || !readdress(ctx, p.vlan, found.hop))
		return XDP_ABORTED;
	count_packet(found.flow, p.length);
	return bpf_redirect(found.hop->ifindex, 0);
}

/* ----------------------------------------------------------------------------------------------- tc */

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

/* What has to lie in one piece: Ethernet, IPv6 and TCP without options. */
#define HEADERS (sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct tcphdr))

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

static __always_inline int forward_skb(struct __sk_buff *skb, bool ethernet)
{
	struct found found = {};
	struct packet p = {};
	enum reason reason;
	void *data, *end;

	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + HEADERS > end) {
		bpf_skb_pull_data(skb, skb->len < HEADERS ? skb->len : HEADERS);
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
	}
	if (skb->vlan_present)
		reason = LINK; /* for a VLAN above this link */
	else
		reason = parse(&p, data, end, skb->len, ethernet ? 0 : skb->protocol);
	if (!reason && p.vlan)
		reason = LINK;
	if (!reason)
		reason = look_up(skb, &p, skb->ifindex, TC, &found);
	if (!reason && p.length > found.hop->mtu && (!skb->gso_size || skb->gso_size + p.headers > found.hop->mtu))
		reason = TOO_BIG;
	if (reason == TCP_FLAGS)
		end_flow(&p, skb->ifindex, TC);
	if (reason) {
		note(reason);
		return TC_ACT_UNSPEC;
	}
	if (p.padding && !trim(skb, &p, ethernet))
		return TC_ACT_SHOT;
	if (ethernet && found.hop->ethernet) {
		if ((void *)(p.eth + 1) > p.end)
			return TC_ACT_SHOT;
		set_macs(p.eth, found.hop);
	}
	if (!rewrite_skb(skb, &p, &found, ethernet))
		return TC_ACT_SHOT;
	count_packet(found.flow, p.length);
	if (!ethernet && found.hop->ethernet && !put_header(skb, found.hop, p.v6))
		return TC_ACT_SHOT;
	return bpf_redirect(found.hop->ifindex, 0); /* which takes the header away where the link has none */
}

SEC("tc")
int icshare_tc(struct __sk_buff *skb)
{
	return forward_skb(skb, true);
}

SEC("tc")
int icshare_tc_ip(struct __sk_buff *skb)
{
	return forward_skb(skb, false);
}
