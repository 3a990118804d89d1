/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps, what the cache keeps in them, and the settings. */
#ifndef ICSHARE_MAPS_H
#define ICSHARE_MAPS_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "fastpath.h"

/* Times are in jiffies: the one clock that costs nothing. They wrap around, so only differences are looked at. */
#define ASK_AGAIN (config.hz - (config.hz >> 3)) /* how long an answer of conntrack and the FIB counts: 0.875 s */
#define PENDING_AGAIN ((config.hz >> 8) + 1)	 /* how often conntrack is asked whether the ruleset has granted: 4 ms */
#define GRANT_ENDS (28 * config.hz)		 /* how long a grant counts */
#define STATION_ENDS (33 * config.hz)		 /* how long a station counts that is not heard */

enum hook { XDP, TC };

/* CLEARED: its grant was taken back, and will be once more before it is waited for. */
enum state { PENDING, ACTIVE, CLEARED };

/* What tells one direction of a connection from all others; of IPv6 the whole addresses are in `struct flow6`. */
struct key {
	__be32 saddr; /* of IPv6: all four words in one */
	__be32 daddr;
	__be32 ports; /* source and destination, as in the packet */
	__u32 ifindex; /* where it came in */
	__u16 vlan;
	__u8 proto;
	__u8 kind; /* hook and IP version; 0 for an element that is empty */
};

#define KIND(hook, v6) (((hook) << 1 | (v6)) + 1)

/* What to do with its packets. It fills one cache line. */
struct flow {
	struct key key;
	__be32 saddr; /* of IPv4 */
	__be32 daddr;
	__be32 ports;
	__u32 generation;
	__u32 checked;		  /* in jiffies: conntrack and FIB were asked */
	__u16 address_difference; /* of checksums that cover the addresses, in ones' complement */
	__u16 port_difference;
	__u16 client; /* elements of `counters` */
	__u16 mapping;
	__u16 hop; /* element of `hops` */
	__u8 state;
	__u8 sent; /* counts as sent by the client */
	__u32 packets;
	__u64 bytes;
};

/* What only whoever asks about a flow needs. */
struct notes {
	__u32 hash;
	__u32 cleared; /* in jiffies: its grant was taken back, to be given again */
	__u32 base_seq;
	__u32 zero;
};

/* The way that packets of many flows go: between which hardware addresses, and by which link. */
struct hop {
	__u8 macs[12];	/* destination and source, as in the frame that leaves */
	__u8 in_mac[6]; /* destination of the frame that came in */
	__u16 mtu;
	__u16 vlan;
	__u8 bridge;
	__u8 kind;
	__u32 l3; /* the link that the route leads out by */
#define HOP_WORDS 7 /* up to here it is compared */
	__u32 ifindex;	 /* that sends it */
	__u32 stations;
	__u32 checked; /* in jiffies: a flow took it */
	__u32 ethernet; /* what leaves has an Ethernet header */
	__u32 zero[5];
};

/* The addresses of a flow of IPv6. */
struct flow6 {
	__be32 key[8];	 /* source and destination of its packets */
	__be32 addrs[8]; /* what they become */
};

/* Where flows are, by hash: the upper half of each word is that of the hash, the lower half the flow's number. */
struct bucket {
	__u32 ways[8];
};

#define WAYS 8
#define FLOWS_PER_BUCKET 4
#define FLOWS_PER_HOP 16
#define HASH_PART 0xffff0000U

volatile struct config config SEC(".data.config") = {};

/* Counts changes of place of stations, and the counters given out. */
__u32 stations_changed = 0;
__u32 accounts_given = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LINKS);
	__type(key, struct link_key);
	__type(value, struct link);
} links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LINKS);
	__type(key, __u32);
	__type(value, struct egress);
} egress SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_NETWORKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_key);
	__type(value, __u32);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_STATIONS);
	__type(key, struct station_key);
	__type(value, struct station);
} stations SEC(".maps");

/*
 * The cache. Each CPU has a part of its own of each of these, so none waits for another, and none reads half a flow.
 * Flows lie in the order in which they began, which keeps those of one time near each other; the index is small enough to
 * stay in a CPU's own caches. `config.flows` tells how many flows a CPU has, and these sizes are set with it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE); /* which has it begin at a cache line */
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct flow6);
} flows6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct notes);
} notes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct hop);
} hops SEC(".maps");

/* The flow of each CPU that was begun last. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} last SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ACCOUNTS);
	__type(key, struct account);
	__type(value, __u32);
} accounts SEC(".maps");

/* Elements of `counters` that were given and are nobody's any more; they are zero. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_ACCOUNTS);
	__type(value, __u32);
} spare SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_ACCOUNTS);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} reasons SEC(".maps");

#endif
