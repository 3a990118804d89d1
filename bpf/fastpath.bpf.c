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
 * all of it. A flow, which is one direction of a connection, is made to prove it (again) when it is new here, when
 * policy may have changed, and when it has been fast for half a minute: its bit is cleared, its packets go to the
 * kernel, and only when the bit is set once more is the flow sent on from here. So nothing is ever faster than the
 * decision about it: whatever drops a packet in the kernel, be it a firewall of somebody else, keeps it from being fast
 * as well. Policy may have changed when userspace says so (`config.generation`), or when anybody has changed any
 * nftables ruleset (`base_seq`), which is looked at once a second.
 *
 * Once a second a flow's packet asks conntrack and the FIB again, and refreshes the connection's timeout; so a
 * connection that has ended, or is flushed, leaves within a second, and one that goes on is not forgotten. Once in half
 * a minute one packet of each flow goes through the kernel (see above), which keeps neighbours and bridges from
 * forgetting.
 *
 * One object, three programs that share all maps: icshare_xdp on physical links, icshare_tc on links with Ethernet
 * headers and icshare_tc_ip on links without. A bridge has its packets sent out by one of its ports: XDP is below the
 * bridge, so it learns by itself where stations are; tc is above it and leaves that to the bridge.
 *
 * Bytes are counted by client and by port mapping, in counters of each CPU, so nothing is lost when the cache forgets a
 * flow, and reading them costs no look at the flows.
 *
 * A packet is read (packet.h), its flow looked for in the cache (flows.h) and, where that has no answer or an old one,
 * asked about (ask.h), rewritten (rewrite.h), counted (accounts.h) and sent. What is configured and remembered is in
 * maps.h; fastpath.h has the part of it that userspace knows too.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "accounts.h"
#include "addresses.h"
#include "ask.h"
#include "clock.h"
#include "fastpath.h"
#include "flows.h"
#include "maps.h"
#include "packet.h"
#include "rewrite.h"
#include "stations.h"

char _license[] SEC("license") = "GPL";

static __always_inline void note(enum reason reason)
{
	__u32 index = reason;
	__u64 *packets = bpf_map_lookup_elem(&reasons, &index);

	if (packets)
		++*packets;
}

static __always_inline struct link *find_link(__u32 ifindex, __u16 vlan)
{
	struct link_key key = {.ifindex = ifindex, .vlan = vlan};

	return bpf_map_lookup_elem(&links, &key);
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
	find_flow(&key, sum, addresses6(p), found);
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

/* ----------------------------------------------------------------------------------------------- XDP */

SEC("xdp")
int icshare_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct found found = {};
	struct packet p = {};
	enum reason reason;

	reason = parse(&p, data, end, end - data, 0);
	if (!reason) /* asked for first, as afterwards the stack is full */
		reason = is_partial(&p) ? PARTIAL : look_up(ctx, &p, ctx->ingress_ifindex, XDP, &found);
	if (!reason && p.length > found.hop->mtu)
		reason = TOO_BIG;
	if (reason == TCP_FLAGS)
		end_flow(&p, ctx->ingress_ifindex, XDP);
	if (reason) {
		bool unseen = p.eth && (reason < UNTRACKED || reason == PARTIAL);
		struct link *link = unseen ? find_link(ctx->ingress_ifindex, p.vlan) : NULL;

		if (link)
			learn(link, ctx->ingress_ifindex, p.eth->h_source);
		note(reason);
		return XDP_PASS;
	}
	if (!rewrite_frame(&p, &found))
		return XDP_ABORTED;
	if (!p.padding && !p.vlan && !found.hop->vlan)
		set_macs(p.eth, found.hop);
	else if ((p.padding && bpf_xdp_adjust_tail(ctx, -(int)p.padding)) || !readdress(ctx, p.vlan, found.hop))
		return XDP_ABORTED;
	count_packet(found.flow, p.length);
	return bpf_redirect(found.hop->ifindex, 0);
}

/* ----------------------------------------------------------------------------------------------- tc */

/* What has to lie in one piece: Ethernet, IPv6 and TCP without options. */
#define HEADERS (sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct tcphdr))

/* What the kernel makes of the type of service when it forwards (rt_tos2priority()): for queues and VLAN tags. */
static __always_inline __u32 priority_of(__u8 tos)
{
	return 0x4620 >> ((tos >> 3 & 3) * 4) & 0xf; /* best effort 0, bulk 2, interactive 6, both 4 */
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
	else if (skb->mark)
		reason = KEPT; /* for a route or queue of somebody else's */
	else
		reason = parse(&p, data, end, skb->len, ethernet ? 0 : skb->protocol);
	if (!reason && p.vlan)
		reason = LINK;
	if (!reason && p.padding && skb->gso_size)
		reason = SHORT; /* it can be trimmed whole, but not segment by segment */
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
	if (!p.v6 && (void *)(p.ip + 1) <= p.end)
		skb->priority = priority_of(p.ip->tos);
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
