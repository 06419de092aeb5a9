/*
 * The one list of state.  Everything that is saved stands once, as a row of component_table; save, restore, compare,
 * check, inspect, the stream and the file format's documentation walk that table.
 */
#ifndef STASIS_SNAPSHOT_COMPONENT_H
#define STASIS_SNAPSHOT_COMPONENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "report.h"
#include "schema.h"
#include "vmm/vm.h"

enum component_scope {
	COMPONENT_VM,   /* one a machine */
	COMPONENT_VCPU, /* one a vCPU */
};

enum component_shape {
	COMPONENT_STRUCT, /* one struct, as the schema has it */
	COMPONENT_BLOB,   /* one struct, and bytes of any number behind it */
	COMPONENT_LIST,   /* structs one after the other, told apart by the key, the 8 bytes at their start */
	COMPONENT_RAM,    /* pages; not held in memory with the rest */
};

/*
 * Restore goes stage by stage; a stage is finished for all instances before the next begins.
 * After VM_LATE the state is read back and compared; ARM is what would change it from then on: timers, the clock.
 */
enum stage { STAGE_MACHINE, STAGE_VM_EARLY, STAGE_VCPU_EARLY, STAGE_VCPU, STAGE_VM_LATE, STAGE_ARM, STAGES };

/* Which interrupt controllers a machine must have for the component to exist: bits 1 << IRQCHIP_*. */
#define WITH_ANY   (1 << IRQCHIP_NONE | 1 << IRQCHIP_SPLIT | 1 << IRQCHIP_FULL)
#define WITH_LAPIC (1 << IRQCHIP_SPLIT | 1 << IRQCHIP_FULL)
#define WITH_FULL  (1 << IRQCHIP_FULL)

struct restore; /* restoring.h */

#define COMPONENT_KEY_SIZE sizeof(uint64_t)

/* The key of a list's entry. */
static inline uint64_t component_key(const uint8_t *entry)
{
	uint64_t key;
	memcpy(&key, entry, sizeof(key));
	return key;
}

/* How an entry of a list is told to people, and how it compares. */
struct entry_description {
	char component[24], name[80]; /* "msr", "IA32_LSTAR (0xc0000082)" */
	const char *bits;             /* of its value field */
	enum field_rule rule;
	const char *why; /* FIELD_VOLATILE */
};

struct component_ops {
	/* Appends the payload to *ret.  Must not change the guest. */
	int (*save)(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err);
	/*
	 * As save, by the cheapest ioctls there are, for comparing only: what is volatile, or is put at other stages
	 * than these (bits 1 << STAGE_*), may be left out.  May be NULL: save does.
	 */
	int (*read_back)(struct vm *vm, unsigned instance, uint8_t stages, struct buffer *ret, struct error *err);
	/*
	 * Puts the payload into the machine, at one of the component's stages.  What this host refuses is a finding
	 * (restore_finding()), so that all of it can be told at once; an error is what makes going on pointless.
	 */
	int (*restore)(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
		       struct error *err);
	/* Is the payload, whose size fits the shape, something that may be given to KVM or to a device?  May be NULL.
	 */
	int (*validate)(const struct machine *machine, unsigned instance, struct bytes payload, struct error *err);
	/* Changes what must differ on this host, and reports each change.  May be NULL: nothing does. */
	void (*translate)(const struct restore *restore, unsigned instance, uint8_t *payload, size_t size);
	/* For lists. */
	void (*describe)(const void *entry, struct entry_description *ret);
	/* For lists that are put at more than one stage: that of an entry.  NULL: the component's only one. */
	enum stage (*stage_of)(const void *entry);
};

struct component {
	const char *name;
	uint16_t id, version; /* on disk; an id is never used again */
	enum component_scope scope;
	enum component_shape shape;
	uint8_t with;     /* WITH_* */
	bool is_optional; /* a host may have none of it; a file may lack it */
	uint8_t stages;   /* bits 1 << STAGE_*; most have one */
	int8_t save_rank; /* lower is read earlier: reading some things disturbs others */
	const struct schema *schema;
	/* A pair of ioctls that takes the schema's struct as it is; or the struct's place in struct vm; or ops. */
	uint32_t get, set;
	uint32_t select; /* the first word of get's argument: which of several the ioctl means */
	uint32_t offset; /* in struct vm; 0: it is not there */
	const struct component_ops *ops;
};

#define COMPONENTS_MAX        32
#define COMPONENT_ENTRIES_MAX 1024u /* of a list */

/* The table, in the order in which a stage restores its rows. */
extern const struct component component_table[];
extern const size_t component_table_size;

const struct component *component_by_id(uint16_t id);
const struct component *component_by_name(const char *name);

/* How many instances a machine has: 0 where it has none of it, 1, or its number of vCPUs. */
unsigned component_instances(const struct component *component, const struct machine *machine);

/* "vcpu3" or "vm". */
void component_where(const struct component *component, unsigned instance, char *ret, size_t size);

/* For ops that save: appends to the payload. */
int component_append(struct buffer *payload, const void *data, size_t size, struct error *err);

/* Appends the payload that the machine has now. */
int component_save(const struct component *component, struct vm *vm, unsigned instance, struct buffer *ret,
		   struct error *err);

/* Appends what a comparison needs of it; may take cheaper ways than component_save(). */
int component_read_back(const struct component *component, struct vm *vm, unsigned instance, uint8_t stages,
			struct buffer *ret, struct error *err);

/* Puts a payload into the machine, at one stage. */
int component_restore(const struct component *component, struct restore *restore, unsigned instance, enum stage stage,
		      struct bytes payload, struct error *err);

/* Does the payload's size fit the shape, and its contents the component's own rules?  Errors name both. */
int component_validate(const struct component *component, const struct machine *machine, unsigned instance,
		       struct bytes payload, struct error *err);

enum order_side { ORDER_RESTORE, ORDER_SAVE };

/* A rule of order: first must be put, or be read, before then.  Names are components' or registers'. */
struct order_fact {
	enum order_side side;
	const char *first, *then;
	const char *why;
};

extern const struct order_fact order_facts[];
extern const size_t order_facts_size;

#endif
