#include "rewind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "registers.h"
#include "restore.h"
#include "save.h"
#include "vmm/dirty.h"
#include "vmm/lapic.h"
#include "vmm/vcpu.h"

#define SYNCED  (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
#define MSR_TSC 0x10u

#define CR0_PG   (1ull << 31)
#define CR4_PAE  (1ull << 5)
#define EFER_LMA (1ull << 10)

#define PIT_UNUSED 0xff /* a channel's mode until the guest programs it (arch/x86/kvm/i8254.c, kvm_pit_reset()) */

/* A group of state in KVM's own form, as it was at the point: to be compared with what KVM gives now. */
struct raw {
	unsigned long get;
	struct buffer point, now;
};

struct kept_vcpu {
	bool rides; /* general registers, events and, for comparing, segment registers come and go with KVM_RUN */
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct raw xsave, lapic, nested;
	struct buffer
		msrs; /* struct kvm_msrs with entries: IA32_TSC, then those that are compared; what KVM gave last */
	struct buffer msrs_point;
	uint64_t tsc;         /* at the point */
	uint32_t timer_count; /* of struct vcpu */
	bool timer_is_known;
};

struct step;
typedef int step_function(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err);

/* A component at one of its stages, and how it is put back. */
struct step {
	const struct component *component;
	enum stage stage;
	step_function *put_back;
};

struct rewind {
	struct vm *vm;
	struct image image;   /* the point's state; its memory is the copy of RAM */
	struct memory source; /* the copy of RAM */
	struct restore_options options;
	struct report refusals;
	struct restore restore;
	struct dirty *dirty;
	struct pages pages; /* to be written back */
	struct step steps[RESTORE_STEPS_MAX];
	unsigned nr_steps;
	struct kept_vcpu vcpus[VM_VCPUS_MAX];
	struct raw pit;
	struct buffer scratch;
	struct rewind_stats stats;
};

/* ---- The general way, and what is common to the others ---- */

static int put(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	const struct section *section = image_find(&rewind->image, step->component, instance);
	rewind->stats.components++;
	return component_restore(step->component, &rewind->restore, instance, step->stage,
				 buffer_bytes(&section->payload), err);
}

/* Reads it as a read-back does, and puts it where a byte differs. */
static int put_if_different(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	const struct section *section = image_find(&rewind->image, step->component, instance);
	struct buffer *now = &rewind->scratch;
	now->size = 0;
	int status = component_read_back(step->component, rewind->vm, instance, (uint8_t)(1u << step->stage), now, err);
	if (status < 0)
		return status;
	if (now->size == section->payload.size && memcmp(now->data, section->payload.data, now->size) == 0)
		return 0;
	return put(rewind, step, instance, err);
}

static struct kvm_nested_state *nested_header(const struct buffer *buffer)
{
	return (struct kvm_nested_state *)(void *)buffer->data;
}

static int raw_read(struct raw *raw, struct buffer *into, int fd, struct error *err)
{
	/* It takes the room that there is from the buffer, and puts there what it has used. */
	if (raw->get == KVM_GET_NESTED_STATE)
		nested_header(into)->size = (uint32_t)into->size;
	if (kvm_call_sized(fd, raw->get, into->data) < 0)
		return error_errno(err, ERROR_SYSTEM, "%s", kvm_request_name(raw->get));
	return 0;
}

static int raw_keep(struct raw *raw, unsigned long get, size_t size, int fd, struct error *err)
{
	raw->get = get;
	if (buffer_append(&raw->point, NULL, size) == NULL || buffer_append(&raw->now, NULL, size) == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a point to rewind to");
	return raw_read(raw, &raw->point, fd, err);
}

static bool raw_is_same(const struct raw *raw)
{
	return memcmp(raw->now.data, raw->point.data, raw->point.size) == 0;
}

static void raw_done(struct raw *raw)
{
	buffer_done(&raw->point);
	buffer_done(&raw->now);
}

/* ---- vCPUs ---- */

/* With PAE paging outside long mode, the four PDPTRs are state that struct kvm_sregs lacks. */
static bool has_pdptrs(const struct kvm_sregs *sregs)
{
	return (sregs->cr0 & CR0_PG) != 0 && (sregs->cr4 & CR4_PAE) != 0 && (sregs->efer & EFER_LMA) == 0;
}

static int put_sregs(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	const struct kept_vcpu *kept = &rewind->vcpus[instance];
	const struct kvm_sregs *now = &rewind->vm->vcpus[instance].run->s.regs.sregs;
	if (!kept->rides || has_pdptrs(&kept->sregs) || has_pdptrs(now))
		return put_if_different(rewind, step, instance, err);
	/* What follows is interrupt_bitmap, which the events have, too. */
	if (memcmp(now, &kept->sregs, offsetof(struct kvm_sregs, interrupt_bitmap)) == 0)
		return 0;
	return put(rewind, step, instance, err);
}

/* Puts it where a byte differs. */
static int put_raw(struct rewind *rewind, struct raw *raw, int fd, unsigned long set, struct error *err)
{
	int status = raw_read(raw, &raw->now, fd, err);
	if (status < 0 || raw_is_same(raw))
		return status;
	rewind->stats.components++;
	if (kvm_call_sized(fd, set, raw->point.data) < 0)
		return error_errno(err, ERROR_INTERNAL, "%s", kvm_request_name(set));
	return 0;
}

static int put_xsave(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	(void)step;
	return put_raw(rewind, &rewind->vcpus[instance].xsave, rewind->vm->vcpus[instance].fd, KVM_SET_XSAVE, err);
}

static bool has_deadline_mode(const struct kvm_lapic_state *lapic)
{
	return (lapic_get(lapic, LAPIC_LVTT) & LAPIC_LVTT_MODE) == LAPIC_LVTT_DEADLINE;
}

/*
 * A timer that was under way is started again with what was left; KVM_SET_LAPIC also takes back one that just fired.
 * Where that takes the timer into or out of deadline mode, it drops the initial count that it was just given
 * (arch/x86/kvm/lapic.c, apic_update_lvtt()): so it is put once more.
 */
static int put_lapic(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	struct raw *raw = &rewind->vcpus[instance].lapic;
	int status = raw_read(raw, &raw->now, rewind->vm->vcpus[instance].fd, err);
	const struct kvm_lapic_state *point = (const void *)raw->point.data, *now = (const void *)raw->now.data;
	if (status < 0 || (raw_is_same(raw) && lapic_get(point, LAPIC_TMICT) == 0))
		return status;
	if (has_deadline_mode(now) != has_deadline_mode(point))
		status = put(rewind, step, instance, err);
	return status == 0 ? put(rewind, step, instance, err) : status;
}

static const struct kvm_msr_entry *msr_entries(const struct buffer *msrs, uint32_t *ret_nr)
{
	const struct kvm_msrs *list = (const void *)msrs->data;
	*ret_nr = list->nmsrs;
	return list->entries;
}

/* Writes a register by the way that registers are written; the read is to see that it arrived. */
static int put_register(const struct rewind *rewind, unsigned instance, uint64_t id, uint64_t value, struct error *err)
{
	const struct vm *vm = rewind->vm;
	char name[KVM_REG_NAME_MAX];
	if (kvm_reg_set(vm->vcpus[instance].fd, vm->reg_access, id, value) == 0)
		return 0;
	kvm_reg_name(id, name);
	return error_errno(err, ERROR_INTERNAL, "%s: put back to 0x%llx", name, (unsigned long long)value);
}

/* Synthetic registers are in no batch; a vCPU has at most one today. */
static int put_synthetic(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	const struct section *section = image_find(&rewind->image, step->component, instance);
	const struct vm *vm = rewind->vm;
	int status = 0;
	for (size_t at = section->payload.size; at > 0 && status == 0; at -= sizeof(struct kvm_reg_value)) {
		struct kvm_reg_value reg;
		uint64_t now;
		memcpy(&reg, section->payload.data + at - sizeof(reg), sizeof(reg));
		if (!kvm_reg_is_synthetic(reg.id))
			break; /* they stand last: the list ascends by id */
		if (kvm_reg_get(vm->vcpus[instance].fd, vm->reg_access, reg.id, &now) != 0 || now != reg.value)
			status = put_register(rewind, instance, reg.id, reg.value, err);
	}
	return status;
}

static int put_registers(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	struct kept_vcpu *kept = &rewind->vcpus[instance];
	uint32_t nr;
	const struct kvm_msr_entry *point = msr_entries(&kept->msrs_point, &nr), *now = msr_entries(&kept->msrs, &nr);
	int status = 0;
	if (kvm_call_sized(rewind->vm->vcpus[instance].fd, KVM_GET_MSRS, kept->msrs.data) != (int)nr)
		return error_errno(err, ERROR_INTERNAL, "KVM_GET_MSRS: of %u registers", nr);
	for (uint32_t i = 1; i < nr && status == 0; i++) {
		uint64_t id = KVM_X86_REG_MSR(point[i].index);
		if (now[i].data == point[i].data || register_rule(id)->stage != step->stage)
			continue;
		rewind->stats.components++;
		status = put_register(rewind, instance, id, point[i].data, err);
	}
	return status == 0 ? put_synthetic(rewind, step, instance, err) : status;
}

/*
 * A deadline that was to come is as far away again as it was at the point.  Read with the others, after which the
 * LAPIC's timer mode may have changed: so it is written whenever it is, or was, in use.
 */
static int put_armed(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	const struct section *section = image_find(&rewind->image, step->component, instance);
	const struct kept_vcpu *kept = &rewind->vcpus[instance];
	uint32_t nr;
	const struct kvm_msr_entry *point = msr_entries(&kept->msrs_point, &nr), *now = msr_entries(&kept->msrs, &nr);
	int status = 0;
	for (uint32_t i = 1; i < nr && status == 0; i++) {
		uint64_t id = KVM_X86_REG_MSR(point[i].index), value = point[i].data;
		if (register_rule(id)->stage != step->stage || (value == 0 && now[i].data == 0))
			continue;
		if (value != 0)
			value += now[0].data - kept->tsc;
		rewind->stats.components++;
		status = put_register(rewind, instance, id, value, err);
		registers_change(&section->payload, id, value); /* for rewind_compare() */
	}
	return status;
}

static int put_regs(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	struct kvm_run *run = rewind->vm->vcpus[instance].run;
	const struct section *section = image_find(&rewind->image, step->component, instance);
	if (!rewind->vcpus[instance].rides)
		return put(rewind, step, instance, err);
	memcpy(&run->s.regs.regs, section->payload.data, sizeof(run->s.regs.regs));
	run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	return 0;
}

/* KVM_SET_REGS, which comes before, drops a pending exception. */
static int put_events(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	const struct kept_vcpu *kept = &rewind->vcpus[instance];
	struct kvm_run *run = rewind->vm->vcpus[instance].run;
	if (!kept->rides)
		return put(rewind, step, instance, err);
	if (kept->events.exception.pending == 0 && kept->events.exception.injected == 0 &&
	    memcmp(&run->s.regs.events, &kept->events, sizeof(kept->events)) == 0)
		return 0;
	run->s.regs.events = kept->events;
	run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
	rewind->stats.components++;
	return 0;
}

/* A vCPU that came out of KVM_RUN with a port access was running an instruction, and so still is runnable. */
static bool is_runnable(const struct kept_vcpu *kept, const struct vcpu *vcpu)
{
	return kept->rides && vcpu->has_run && vcpu->run->exit_reason == KVM_EXIT_IO;
}

static int put_mp_state(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	const struct section *section = image_find(&rewind->image, step->component, instance);
	struct kvm_mp_state point;
	memcpy(&point, section->payload.data, sizeof(point));
	if (point.mp_state == KVM_MP_STATE_RUNNABLE &&
	    is_runnable(&rewind->vcpus[instance], &rewind->vm->vcpus[instance]))
		return 0;
	return put_if_different(rewind, step, instance, err);
}

/* ---- The machine ---- */

/* One that runs has counted on, and one that was programmed anew reads otherwise. */
static int put_pit(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	struct raw *raw = &rewind->pit;
	int fd = rewind->vm->fd, status = raw_read(raw, &raw->now, fd, err);
	const struct kvm_pit_state2 *point = (const void *)raw->point.data;
	if (status < 0 || (raw_is_same(raw) && point->channels[0].mode == PIT_UNUSED))
		return status;
	status = put(rewind, step, instance, err);
	return status == 0 ? raw_read(raw, &raw->point, fd, err) : status; /* KVM has noted another load time */
}

/* ---- The steps ---- */

static int nothing(struct rewind *rewind, const struct step *step, unsigned instance, struct error *err)
{
	(void)rewind, (void)step, (void)instance, (void)err;
	return 0;
}

/* Components that are not put by put_if_different(), at one of their stages. */
static const struct {
	const char *component;
	enum stage stage;
	step_function *put_back;
} ways[] = {
	{ "cpuid", STAGE_VCPU_EARLY, nothing }, /* KVM refuses another one after the first KVM_RUN */
	{ "tsc", STAGE_VCPU_EARLY, nothing },   /* time goes on */
	{ "clock", STAGE_ARM, nothing },        /* likewise */
	{ "nested", STAGE_VCPU, nothing },      /* settle_vcpu() */
	{ "sregs", STAGE_VCPU, put_sregs },
	{ "xsave", STAGE_VCPU, put_xsave },
	{ "lapic", STAGE_VCPU, put_lapic },
	{ "registers", STAGE_VCPU, put_registers },
	{ "registers", STAGE_ARM, put_armed },
	{ "regs", STAGE_VCPU, put_regs },
	{ "mp_state", STAGE_VCPU, put_mp_state },
	{ "events", STAGE_VCPU, put_events },
	{ "pit", STAGE_ARM, put_pit },
};

static step_function *find_way(const struct restore_step *step)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].component, step->component->name) == 0 && ways[i].stage == step->stage)
			return ways[i].put_back;
	return put_if_different;
}

static void plan_steps(struct rewind *rewind)
{
	struct restore_step plan[RESTORE_STEPS_MAX];
	unsigned nr = restore_plan(plan);
	for (unsigned i = 0; i < nr; i++) {
		struct step step = { plan[i].component, plan[i].stage, find_way(&plan[i]) };
		if (step.put_back != nothing && component_instances(step.component, &rewind->vm->machine) > 0)
			rewind->steps[rewind->nr_steps++] = step;
	}
}

/* ---- Keeping a point ---- */

static int keep_msrs(struct rewind *rewind, unsigned instance, struct error *err)
{
	const struct section *section = image_find_named(&rewind->image, "registers", instance);
	struct kept_vcpu *kept = &rewind->vcpus[instance];
	struct kvm_msrs head = { .nmsrs = 1 };
	struct kvm_msr_entry entry = { .index = MSR_TSC };
	bool is_good = buffer_append(&kept->msrs, &head, sizeof(head)) != NULL &&
		       buffer_append(&kept->msrs, &entry, sizeof(entry)) != NULL;
	for (size_t at = 0; at < section->payload.size && is_good; at += sizeof(struct kvm_reg_value)) {
		struct kvm_reg_value reg;
		memcpy(&reg, section->payload.data + at, sizeof(reg));
		if (!kvm_reg_is_msr(reg.id) || register_rule(reg.id)->rule != FIELD_EXACT)
			continue;
		entry = (struct kvm_msr_entry){ .index = kvm_reg_index(reg.id), .data = reg.value };
		is_good = buffer_append(&kept->msrs, &entry, sizeof(entry)) != NULL;
		head.nmsrs++;
	}
	if (is_good)
		memcpy(kept->msrs.data, &head, sizeof(head));
	if (!is_good || buffer_append(&kept->msrs_point, kept->msrs.data, kept->msrs.size) == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a point to rewind to");
	int got = kvm_call_sized(rewind->vm->vcpus[instance].fd, KVM_GET_MSRS, kept->msrs.data);
	if (got != (int)head.nmsrs)
		return error_set(err, ERROR_SYSTEM, "KVM_GET_MSRS: %d of %u registers", got, head.nmsrs);
	kept->tsc = msr_entries(&kept->msrs, &head.nmsrs)->data;
	return 0;
}

/* Registers ride where nobody but the caller of KVM_RUN looks at them. */
static int keep_riding(struct rewind *rewind, unsigned instance, struct error *err)
{
	struct kept_vcpu *kept = &rewind->vcpus[instance];
	struct vcpu *vcpu = &rewind->vm->vcpus[instance];
	int has = kvm_capability(rewind->vm->fd, KVM_CAP_SYNC_REGS);
	if (!vcpu->is_here || ((unsigned)has & SYNCED) != SYNCED)
		return 0;
	if (kvm_call(vcpu->fd, KVM_GET_SREGS, &kept->sregs) < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_GET_SREGS");
	if (kvm_call(vcpu->fd, KVM_GET_VCPU_EVENTS, &kept->events) < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_GET_VCPU_EVENTS");
	vcpu->run->kvm_valid_regs = SYNCED;
	/* As KVM_RUN would have left them, for a rewind before the first one. */
	vcpu->run->s.regs.sregs = kept->sregs;
	vcpu->run->s.regs.events = kept->events;
	kept->rides = true;
	return 0;
}

static int keep_vcpu(struct rewind *rewind, unsigned instance, struct error *err)
{
	struct kept_vcpu *kept = &rewind->vcpus[instance];
	const struct vm *vm = rewind->vm;
	const struct vcpu *vcpu = &vm->vcpus[instance];
	int xsave2 = kvm_capability(vm->fd, KVM_CAP_XSAVE2), nested = kvm_capability(vm->fd, KVM_CAP_NESTED_STATE);
	size_t xsave_size = xsave2 > (int)sizeof(struct kvm_xsave) ? (size_t)xsave2 : sizeof(struct kvm_xsave);
	kept->timer_is_known = vcpu->timer_is_known;
	kept->timer_count = vcpu->timer_count;
	int status = raw_keep(&kept->xsave, xsave2 != 0 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, xsave_size, vcpu->fd, err);
	if (status == 0 && (WITH_LAPIC & 1 << vm->machine.irqchip) != 0)
		status = raw_keep(&kept->lapic, KVM_GET_LAPIC, sizeof(struct kvm_lapic_state), vcpu->fd, err);
	if (status == 0 && nested >= (int)sizeof(struct kvm_nested_state)) {
		status = raw_keep(&kept->nested, KVM_GET_NESTED_STATE, (size_t)nested, vcpu->fd, err);
		if (status == 0)
			kept->nested.point.size = nested_header(&kept->nested.point)->size;
	}
	if (status == 0)
		status = keep_msrs(rewind, instance, err);
	return status == 0 ? keep_riding(rewind, instance, err) : status;
}

/* What a restore would put otherwise than it was saved, a rewind puts so, too. */
static void translate(struct rewind *rewind)
{
	struct report ignored = { 0 };
	const struct restore restore = {
		.vm = rewind->vm, .image = &rewind->image, .options = &rewind->options, .report = &ignored
	};
	for (size_t i = 0; i < rewind->image.nr_sections; i++) {
		const struct section *section = &rewind->image.sections[i];
		const struct component_ops *ops = section->component->ops;
		if (ops != NULL && ops->translate != NULL)
			ops->translate(&restore, section->instance, section->payload.data, section->payload.size);
	}
	report_done(&ignored);
}

static int keep_state(struct rewind *rewind, struct error *err)
{
	struct vm *vm = rewind->vm;
	int status = save_image(vm, &rewind->image, err);
	for (unsigned i = 0; i < vm->nr_vcpus && status == 0; i++)
		status = keep_vcpu(rewind, i, err);
	if (status == 0 && vm->machine.irqchip == IRQCHIP_FULL)
		status = raw_keep(&rewind->pit, KVM_GET_PIT2, sizeof(struct kvm_pit_state2), vm->fd, err);
	if (status < 0)
		return status;
	translate(rewind);
	plan_steps(rewind);
	rewind->restore = (struct restore){
		.vm = vm, .image = &rewind->image, .options = &rewind->options, .report = &rewind->refusals
	};
	return 0;
}

/* Pages of zeros, and those that nobody touched, take no memory. */
static void copy_data(const struct memory_region *from, const struct memory_region *to)
{
	uint64_t start, end = 0;
	while (memory_next_data(from, end, from->range.size, &start, &end))
		for (uint64_t at = start; at < end; at += MEMORY_PAGE)
			if (!bytes_are_zero(from->hva + at, MEMORY_PAGE))
				memcpy(to->hva + at, from->hva + at, MEMORY_PAGE);
}

static int keep_ram(struct rewind *rewind, struct error *err)
{
	const struct memory *memory = &rewind->vm->memory;
	int status = pages_create_for(&rewind->pages, memory, err);
	for (unsigned i = 0; i < memory->nr_regions && status == 0; i++) {
		status = memory_add_copy(&rewind->source, &memory->regions[i].range, err);
		if (status == 0)
			copy_data(&memory->regions[i], &rewind->source.regions[i]);
	}
	rewind->image.memory = &rewind->source;
	return status;
}

int rewind_create(struct rewind **ret, struct vm *vm, struct error *err)
{
	struct rewind *rewind = calloc(1, sizeof(*rewind));
	if (rewind == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a point to rewind to");
	rewind->vm = vm;
	/* The log first: what the rest lets KVM write into RAM is put back, too. */
	int status = dirty_create(&rewind->dirty, vm, DIRTY_NOTHING, err);
	if (status == 0)
		status = keep_ram(rewind, err);
	if (status == 0)
		status = keep_state(rewind, err);
	if (status < 0) {
		rewind_free(rewind);
		return status;
	}
	rewind->image.memory = &rewind->source;
	*ret = rewind;
	return 0;
}

/* ---- Going back ---- */

/*
 * Is nothing left of the exit that the next KVM_RUN would finish?  An OUT of one value is over but for the step to the
 * next instruction, which KVM leaves out where RIP is no longer that of the OUT (arch/x86/kvm/x86.c,
 * complete_fast_pio_out()).
 */
static bool is_over(const struct kept_vcpu *kept, const struct vcpu *vcpu, uint64_t point_rip)
{
	const struct kvm_run *run = vcpu->run;
	return kept->rides && run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
	       run->io.count == 1 && run->kvm_dirty_regs == 0 && run->s.regs.regs.rip != point_rip &&
	       run->s.regs.sregs.cs.base == kept->sregs.cs.base;
}

static int settle_vcpu(struct rewind *rewind, unsigned instance, struct error *err)
{
	struct vcpu *vcpu = &rewind->vm->vcpus[instance];
	struct kept_vcpu *kept = &rewind->vcpus[instance];
	const struct section *section = image_find_named(&rewind->image, "regs", instance);
	struct kvm_regs point;
	struct kvm_mp_state ignored;
	memcpy(&point, section->payload.data, sizeof(point));
	if (vcpu->has_run && !is_over(kept, vcpu, point.rip))
		vcpu_finish_exit(vcpu);
	/* Reading it carries out an INIT or SIPI that waits, which changes the other registers. */
	if (!is_runnable(kept, vcpu) && kvm_call(vcpu->fd, KVM_GET_MP_STATE, &ignored) < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_GET_MP_STATE");
	/* Before all others: while a guest of the guest runs, the registers are that one's. */
	return kept->nested.get != 0 ? put_raw(rewind, &kept->nested, vcpu->fd, KVM_SET_NESTED_STATE, err) : 0;
}

static int put_pages(struct rewind *rewind, struct error *err)
{
	struct pages *pages = &rewind->pages;
	pages_clear(pages);
	int status = dirty_fetch(rewind->dirty, pages, err);
	for (unsigned i = 0; i < pages->nr_regions && status == 0; i++) {
		const uint8_t *from = rewind->source.regions[i].hva;
		uint8_t *to = rewind->vm->memory.regions[i].hva;
		uint64_t page = 0, nr;
		status = dirty_clear(rewind->dirty, pages, i, 0, pages->nr_pages[i], err);
		for (; pages_next_run(pages, i, page, pages->nr_pages[i], &page, &nr); page += nr) {
			memcpy(to + page * MEMORY_PAGE, from + page * MEMORY_PAGE, nr * MEMORY_PAGE);
			rewind->stats.pages += nr;
		}
	}
	return status;
}

static int put_state(struct rewind *rewind, struct error *err)
{
	const struct machine *machine = &rewind->vm->machine;
	for (unsigned i = 0; i < rewind->nr_steps; i++) {
		const struct step *step = &rewind->steps[i];
		unsigned instances = component_instances(step->component, machine);
		for (unsigned instance = 0; instance < instances; instance++) {
			int status = step->put_back(rewind, step, instance, err);
			if (status < 0)
				return error_prefix(err, "rewinding %s", step->component->name);
		}
	}
	return 0;
}

static int refusal(const struct report *refusals, struct error *err)
{
	char line[512];
	finding_format(&refusals->findings[0], line, sizeof(line));
	return error_set(err, ERROR_INTERNAL, "rewinding: this KVM refuses what it took before: %s", line);
}

/* RAM last: some registers make KVM write it when they are set. */
int rewind_to_point(struct rewind *rewind, struct error *err)
{
	struct vm *vm = rewind->vm;
	int status = 0;
	for (unsigned i = 0; i < vm->nr_vcpus && status == 0; i++)
		status = settle_vcpu(rewind, i, err);
	if (status == 0)
		status = put_state(rewind, err);
	if (status == 0)
		status = put_pages(rewind, err);
	if (status == 0 && report_bad(&rewind->refusals) > 0)
		status = refusal(&rewind->refusals, err);
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];
		vcpu->timer_is_known = rewind->vcpus[i].timer_is_known;
		vcpu->timer_count = rewind->vcpus[i].timer_count;
		vcpu->has_run = rewind->vcpus[i].rides; /* what rides arrives with the next KVM_RUN */
	}
	vm_drop_events(vm);
	rewind->stats.rewinds++;
	return status;
}

int rewind_compare(struct rewind *rewind, struct report *report, struct error *err)
{
	struct image now = { 0 };
	struct compare_options options = { .with_ram = true };
	for (unsigned i = 0; i < rewind->vm->nr_vcpus; i++)
		if (rewind->vm->vcpus[i].has_run)
			vcpu_finish_exit(&rewind->vm->vcpus[i]);
	int status = save_image(rewind->vm, &now, err);
	if (status == 0)
		compare_images(&rewind->image, &now, &options, report);
	image_done(&now);
	return status;
}

void rewind_count(const struct rewind *rewind, struct rewind_stats *ret)
{
	*ret = rewind->stats;
}

void rewind_free(struct rewind *rewind)
{
	if (rewind == NULL)
		return;
	for (unsigned i = 0; i < rewind->vm->nr_vcpus; i++) {
		struct kept_vcpu *kept = &rewind->vcpus[i];
		if (kept->rides)
			rewind->vm->vcpus[i].run->kvm_valid_regs = 0;
		raw_done(&kept->xsave);
		raw_done(&kept->lapic);
		raw_done(&kept->nested);
		buffer_done(&kept->msrs);
		buffer_done(&kept->msrs_point);
	}
	raw_done(&rewind->pit);
	dirty_free(rewind->dirty);
	pages_done(&rewind->pages);
	buffer_done(&rewind->scratch);
	report_done(&rewind->refusals);
	rewind->image.memory = NULL;
	image_done(&rewind->image);
	memory_done(&rewind->source);
	free(rewind);
}
