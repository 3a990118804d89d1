/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of the kernel's own types as the program looks at. Offsets are relocated when it is loaded (CO-RE), so only
 * names and types matter here. Members that a kernel may lack are asked for with bpf_core_field_exists().
 */
#ifndef ICSHARE_KERNEL_H
#define ICSHARE_KERNEL_H

#include <linux/types.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

union nf_inet_addr {
	__u32 all[4];
};

union nf_conntrack_man_proto {
	__be16 all;
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
};

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
};

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};

struct nf_ct_ext {
	__u8 offset[9];
};

struct ip_ct_tcp {
	__u8 state;
};

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
};

struct netns_nftables {
	unsigned int base_seq; /* since Linux 6.17 */
};

struct net_generic {
	void *ptr[1];
};

struct net {
	struct netns_nftables nft;
	struct net_generic *gen;
};

struct nftables_pernet {
	unsigned int base_seq; /* before Linux 6.17 */
};

typedef struct {
	struct net *net;
} possible_net_t;

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	possible_net_t ct_net;
	__u32 mark;
	struct nf_ct_ext *ext;
	union nf_conntrack_proto proto;
};

#pragma clang attribute pop

/* enum ip_conntrack_status */
#define IPS_ASSURED 0x4
#define IPS_CONFIRMED 0x8
#define IPS_DST_NAT 0x20
#define IPS_SEQ_ADJUST 0x40
#define IPS_DYING 0x200
#define IPS_FIXED_TIMEOUT 0x400
#define IPS_TEMPLATE 0x800
#define IPS_UNTRACKED 0x1000
#define IPS_HELPER 0x2000
#define IPS_OFFLOAD 0x4000

#define TCP_CONNTRACK_ESTABLISHED 3
#define NF_CT_EXT_HELPER 0
#define NF_CT_EXT_TIMEOUT 6
#define IP_CT_DIR_ORIGINAL 0

/* 12 bytes, as every kernel since 5.18 takes them; later ones take 16 as well. */
struct bpf_ct_opts___12 {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

struct bpf_sock_tuple;
struct xdp_md;
struct __sk_buff;

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts___12 *options, __u32 options_size) __ksym;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts___12 *options, __u32 options_size) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *ct, __u32 milliseconds) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;

/* An integer of the kernel's: the place of nf_tables in `struct net_generic`. Absent where kallsyms does not list it. */
extern const void nf_tables_net_id __ksym __weak;

#endif
