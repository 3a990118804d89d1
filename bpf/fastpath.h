/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * What the program and userspace both know: keys and values of the maps, the bits of the conntrack mark, reasons.
 *
 * Integers are in host byte order, but for addresses and ports of packets (__be16, __be32). Sizes and offsets are
 * the same on every architecture; a change of any of them is a new layout, and userspace then starts with new maps.
 */
#ifndef ICSHARE_FASTPATH_H
#define ICSHARE_FASTPATH_H

#include <linux/types.h>

/*
 * Bits of the conntrack mark. The ruleset's last chain grants, for each direction of a connection, what has come
 * through all of it; what has KEEP stays in the kernel, and so does what has any bit of somebody else's.
 */
#define FAST_ORIGINAL 0x10000000U
#define FAST_REPLY 0x20000000U
#define KEEP 0x40000000U

#define MAX_LINKS 1024
#define MAX_NETWORKS 1024
#define MAX_STATIONS 16384
#define MAX_ACCOUNTS 16384

/* Why a packet went to the kernel; by these numbers in `reasons`. */
enum reason {
	FAST = 0,	   /* it did not */
	NOT_IP,		   /* neither IPv4 nor IPv6, or more than one VLAN tag */
	NOT_TCP_UDP,
	SHORT,		   /* truncated, or lengths that contradict each other */
	OPTIONS,	   /* IP options or extension headers */
	FRAGMENT,
	HOP_LIMIT,	   /* TTL or hop limit ends here */
	CHECKSUM,	   /* the IP header's is wrong, or UDP over IPv6 has none */
	TCP_FLAGS,	   /* begins or ends a connection, or is urgent */
	LINK,		   /* came in by a link or VLAN that is not ours */
	ADDRESSEE,	   /* not to our hardware address: bridged, broadcast, multicast */
	UNTRACKED,	   /* conntrack does not know it */
	NOT_ASSURED,	   /* no traffic both ways yet, or ending */
	HELPER,		   /* a helper, sequence adjustment or timeout policy needs to see it */
	KEPT,		   /* a conntrack mark keeps it in the kernel */
	UNGRANTED,	   /* the ruleset has not let it through since something changed */
	SPOOFED,	   /* its source does not belong where it came in */
	NO_ROUTE,	   /* no unicast route, or one without forwarding */
	NO_NEIGHBOUR,	   /* the next hop's hardware address is not known */
	EGRESS,		   /* the route leads out by a link that is not ours, or back, or a client's address to the Internet */
	UNSENDABLE,	   /* that link takes no packets from XDP */
	STATION,	   /* behind a bridge, and not heard on a port of it lately */
	TOO_BIG,	   /* larger than the MTU of the route */
	NO_ACCOUNT,	   /* too many clients and mappings to count its bytes */
	NO_ROOM,	   /* too many next hops at a time, or no cache at all */
	PARTIAL,	   /* its transport checksum is yet to be computed, which XDP cannot have done */
	REASONS,
};

/* `.data.config`: written by userspace alone. */
struct config {
	__u32 generation;	  /* another one: the policy has changed, the ruleset has to grant again */
	__u32 udp_stream_ms;	  /* net.netfilter.nf_conntrack_udp_timeout_stream */
	__u32 tcp_established_ms; /* net.netfilter.nf_conntrack_tcp_timeout_established */
	__u32 flags; /* below; the upper 16 bits tell userspace how many attachments there are to be */
	__u32 hz;    /* jiffies in a second: of clock_getres(CLOCK_MONOTONIC_COARSE) */
	__u32 flows; /* elements of the cache that each CPU has: a power of two */
	__u8 digest[16]; /* of the configuration, hexadecimal */
};

#define CONFIG_NO_CACHE 1U /* ask conntrack and FIB about every packet: for measurements */

/* `links`: where frames come in. */
struct link_key {
	__u32 ifindex;
	__u16 vlan; /* 0: without a tag */
	__u16 zero;
};

struct link {
	__u32 l3;     /* the link that has the addresses: itself, its bridge, its VLAN */
	__u8 mac[6];  /* hardware address of `l3`; zero without Ethernet header */
	__u8 public;
	__u8 bridged; /* it is a port of the bridge `l3` */
};

/* `egress`, by ifindex of the link that has the addresses: where packets go out. */
struct egress {
	__u32 ifindex; /* the link that sends; 0 for a bridge, whose stations tell the port */
	__u16 vlan;    /* tag to send with, 0 for none */
	__u8 public;
	__u8 flags;
};

#define EGRESS_BRIDGE 1U
#define EGRESS_NO_XDP 2U
#define EGRESS_NO_ETHERNET 4U

/* `networks`: longest prefix of a client's address to the link of its segment. IPv4 addresses are v4-mapped. */
struct network_key {
	__u32 prefixlen;
	__u8 addr[16];
};

/* `stations`: behind which port of a bridge a hardware address was heard. */
struct station_key {
	__u32 l3;
	__u8 mac[6];
	__u16 zero;
};

struct station {
	__u32 port;
	__u32 seen; /* in jiffies */
};

/* `accounts`: whose bytes are counted in which element of `counters`. */
struct account {
	__u8 addr[16];	/* the client's or target's; IPv4 v4-mapped */
	__u16 port;	/* of the mapping's target, host order; 0 for a client's account */
	__u16 external; /* the mapping's external port, host order */
	__u8 proto;
	__u8 zero[3];
};

struct counter {
	__u64 sent_bytes; /* from the client; lengths of IP packets */
	__u64 sent_packets;
	__u64 received_bytes; /* to the client */
	__u64 received_packets;
};

#endif
