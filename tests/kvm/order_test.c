/*
 * Every fact of order_facts, on a real vCPU: what it says is lost is lost when the order is turned round.  What this
 * kernel cannot show is told as SKIPPED.  That the plans follow the facts is tests/unit/component_test.c's.
 */
#include "kvm_test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "snapshot/registers.h"
#include "snapshot/save.h"
#include "snapshot/state.h"
#include "tests/unit/cpuid_named.h"

/* ---- What the reproductions share ---- */

/* What a reproduction works with; its test frees it. */
struct scene {
	struct image image;
	struct report report;
};

/* Each returns NULL when the loss was seen, or why it cannot be on this host. */
typedef const char *reproduce(struct scene *scene);

static void take(const struct machine_kind *kind, uint32_t checkpoint, struct image *ret)
{
	struct vm *vm = machine_boot(kind);
	if (checkpoint > 0)
		machine_run_to(vm, checkpoint);
	image_take(vm, ret);
	machine_free(vm);
}

/* The plan with the first step of one component moved to just before that of another. */
static unsigned plan_early(const char *moved, const char *before, struct restore_step ret[RESTORE_STEPS_MAX])
{
	unsigned nr = restore_plan(ret), from = 0, to = 0;
	while (to < nr && strcmp(ret[to].component->name, before) != 0)
		to++;
	while (from < nr && strcmp(ret[from].component->name, moved) != 0)
		from++;
	ck_assert_uint_lt(from, nr);
	ck_assert_uint_lt(to, from);
	struct restore_step step = ret[from];
	memmove(&ret[to + 1], &ret[to], (from - to) * sizeof(ret[0]));
	ret[to] = step;
	return nr;
}

/*
 * In the right order the image is restored; with then before first, the restore finds something bad in the component
 * or register named.  False: nothing was lost.
 */
static bool is_lost(const struct image *image, const char *first, const char *then, const char *component,
		    const char *name)
{
	struct restore_step plan[RESTORE_STEPS_MAX];
	unsigned nr = plan_early(then, first, plan);
	struct report right = { 0 }, wrong = { 0 };
	struct vm *vm = image_restore(image, NULL, 0, &right);
	if (vm == NULL)
		report_print(&right);
	ck_assert_ptr_nonnull(vm);
	machine_free(vm);
	vm = image_restore(image, plan, nr, &wrong);
	bool is_refused = vm == NULL;
	if (is_refused)
		ck_assert_msg(report_find(&wrong, FINDING_REFUSED, component, name) != NULL ||
				      report_find(&wrong, FINDING_DIFFERENT, component, name) != NULL,
			      "something else was lost");
	else
		machine_free(vm);
	report_done(&right);
	report_done(&wrong);
	return is_refused;
}

/* ---- Restore ---- */

static const struct machine_kind regs_full = { "regs", IRQCHIP_FULL, 1 };

static const char *sregs_before_cpuid(struct scene *scene)
{
	struct image *image = &scene->image;
	take(&regs_full, 1, image);
	return is_lost(image, "cpuid", "sregs", "sregs", "") ? NULL : "this kernel takes any CR4 without a CPUID";
}

static const char *xcrs_before_cpuid(struct scene *scene)
{
	struct image *image = &scene->image;
	take(&regs_full, 1, image);
	ck_assert(is_lost(image, "cpuid", "xcrs", "xcrs", ""));
	return NULL;
}

static const char *registers_before_cpuid(struct scene *scene)
{
	struct image *image = &scene->image;
	take(&regs_full, 1, image);
	ck_assert(is_lost(image, "cpuid", "registers", "msr", "IA32_TSC_ADJUST"));
	return NULL;
}

#define APIC_BASE_X2APIC  0x400
#define LAPIC_LDR         0xd0 /* SDM volume 3, table 11-1 */
#define LAPIC_SVR         0xf0
#define LAPIC_IRR         0x200
#define LAPIC_IRR_SIZE    (8 * 16)
#define LAPIC_ICR2        0x310
#define LAPIC_SVR_ENABLED 0x1ff
#define X2APIC_LDR        1 /* of APIC id 0 (SDM volume 3, 11.12.10.2) */

static void lapic_set(uint8_t *lapic, uint32_t offset, uint32_t value)
{
	memcpy(lapic + offset, &value, sizeof(value));
}

static bool lapic_has_request(const uint8_t *lapic, unsigned vector)
{
	return (lapic[LAPIC_IRR + vector / 32 * 16 + vector % 32 / 8] >> vector % 8 & 1) != 0;
}

/* In x2APIC mode KVM takes ICR2 as the upper half of a whole ICR, where it keeps one: not on AMD. */
static const char *lapic_before_sregs(struct scene *scene)
{
	struct image *image = &scene->image;
	struct cpuid cpuid;
	char vendor[13];
	take(&(struct machine_kind){ "regs", IRQCHIP_SPLIT, 1 }, 1, image);
	struct kvm_sregs2 *sregs = (struct kvm_sregs2 *)(void *)image_payload(image, "sregs", 0);
	uint8_t *lapic = image_payload(image, "lapic", 0);
	sregs->apic_base |= APIC_BASE_X2APIC;
	lapic_set(lapic, LAPIC_LDR, X2APIC_LDR);
	lapic_set(lapic, LAPIC_ICR2, 0x01000000);
	image_cpuid(image, 0, &cpuid);
	cpuid_vendor(&cpuid, vendor);
	if (strcmp(vendor, "GenuineIntel") != 0)
		return "this KVM keeps ICR in two halves in every mode, as AMD's CPUs do";
	ck_assert(is_lost(image, "sregs", "lapic", "lapic", "ICR2"));
	return NULL;
}

#define RESET_CS      0xf000 /* SDM volume 3, table 10-1 */
#define RESET_CS_BASE 0xffff0000

static const char *mp_state_before_sregs(struct scene *scene)
{
	struct image *image = &scene->image;
	take(&(struct machine_kind){ "counter", IRQCHIP_SPLIT, 1 }, 1, image);
	struct kvm_sregs2 *sregs = (struct kvm_sregs2 *)(void *)image_payload(image, "sregs", 0);
	struct kvm_mp_state *mp_state = (struct kvm_mp_state *)(void *)image_payload(image, "mp_state", 0);
	mp_state->mp_state = KVM_MP_STATE_HALTED;
	sregs->cs.selector = RESET_CS;
	sregs->cs.base = RESET_CS_BASE;
	ck_assert(is_lost(image, "sregs", "mp_state", "mp_state", "mp_state"));
	return NULL;
}

#define EFER_SVME 0x1000

/* The state of an L1 hypervisor behind CLGI: the global interrupt flag is clear. */
static const char *nested_before_sregs(struct scene *scene)
{
	struct image *image = &scene->image;
	struct kvm_nested_state nested = { .format = KVM_STATE_NESTED_FORMAT_SVM, .size = sizeof(nested) };
	struct error err;
	struct vm *vm = machine_boot(&regs_full);
	int size = kvm_capability(vm->fd, KVM_CAP_NESTED_STATE);
	bool has_svm = has_named(&vm->vcpus[0].cpuid, "SVM");
	machine_free(vm);
	if (size == 0)
		return "this KVM has no nested state";
	if (!has_svm)
		return "of nested state this test knows SVM's";
	take(&regs_full, 1, image);
	((struct kvm_sregs2 *)(void *)image_payload(image, "sregs", 0))->efer |= EFER_SVME;
	struct bytes payload = { .data = (uint8_t *)&nested, .size = sizeof(nested) };
	ck_assert_int_eq(image_add(image, component_by_name("nested"), 0, payload, &err), 0);
	return is_lost(image, "sregs", "nested", "nested", "") ? NULL : "this kernel takes it without EFER.SVME";
}

#define DEADLINE  KVM_X86_REG_MSR(0x6e0)
#define TSC       KVM_X86_REG_MSR(0x10)
#define TSC_AHEAD (1ull << 40) /* minutes */

static uint64_t get_register(const struct vm *vm, uint64_t id)
{
	uint64_t value = 0;
	ck_assert_int_eq(kvm_reg_get(vm->vcpus[0].fd, vm->reg_access, id, &value), 0);
	return value;
}

static void put_register(struct restore *restore, uint64_t id, uint64_t value)
{
	struct kvm_reg_value reg = { .id = id, .value = value };
	component_put(restore, "registers", 0, (struct bytes){ .data = (uint8_t *)&reg, .size = sizeof(reg) });
}

static void put_section(struct restore *restore, const struct image *image, const char *component)
{
	component_put(restore, component, 0, buffer_bytes(&image_find_named(image, component, 0)->payload));
}

/* The image of a machine with its LAPIC in deadline mode, and a machine that has none of it but CPUID and APIC base. */
static struct vm *deadline_machine(struct scene *scene, struct restore *restore)
{
	struct vm *vm = machine_boot(&(struct machine_kind){ "interrupt", IRQCHIP_SPLIT, 1 });
	machine_run_to(vm, 4);
	image_take(vm, &scene->image);
	machine_free(vm);
	vm = machine_boot(&(struct machine_kind){ "interrupt", IRQCHIP_SPLIT, 1 });
	restore_begin(vm, &scene->image, &scene->report, restore);
	return vm;
}

static const char *deadline_before_lapic(struct scene *scene)
{
	struct restore restore;
	struct vm *vm = deadline_machine(scene, &restore);
	uint64_t deadline = get_register(vm, TSC) + TSC_AHEAD;
	put_register(&restore, DEADLINE, deadline);
	ck_assert_uint_eq(get_register(vm, DEADLINE), 0);
	put_section(&restore, &scene->image, "lapic");
	ck_assert_uint_eq(get_register(vm, DEADLINE), 0);
	put_register(&restore, DEADLINE, deadline);
	ck_assert_uint_eq(get_register(vm, DEADLINE), deadline);
	ck_assert_uint_eq(report_bad(&scene->report), 0);
	restore_end(&restore);
	machine_free(vm);
	return NULL;
}

/* Lets the machine enter the guest and stop again, which takes up a timer that has fired; again if that takes long. */
static bool has_fired(struct vm *vm)
{
	struct error err;
	ck_assert_int_eq(vm_start(vm, &err), 0);
	for (int i = 0; i < 10 && get_register(vm, DEADLINE) != 0; i++) {
		vm_resume(vm);
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
		vm_pause(vm);
	}
	return get_register(vm, DEADLINE) == 0;
}

/* A deadline that the saved TSC has passed, put before or after the TSC; a fresh vCPU's TSC is far from there. */
static bool past_deadline_fires(struct scene *scene, bool is_tsc_first, bool *ret_tsc_moves)
{
	struct image *image = &scene->image;
	struct restore restore;
	image_done(image);
	struct vm *vm = deadline_machine(scene, &restore);
	struct tsc_state *tsc = (struct tsc_state *)(void *)image_payload(image, "tsc", 0);
	uint64_t deadline = get_register(vm, TSC) + TSC_AHEAD;
	tsc->tsc = deadline + TSC_AHEAD;
	memcpy(image_payload(restore.image, "tsc", 0), tsc, sizeof(*tsc));
	put_section(&restore, image, "lapic");
	if (is_tsc_first)
		put_section(&restore, image, "tsc");
	restore.tsc_shift[0] = 0;
	put_register(&restore, DEADLINE, deadline);
	if (!is_tsc_first)
		put_section(&restore, image, "tsc");
	*ret_tsc_moves = get_register(vm, TSC) >= deadline;
	bool fires = has_fired(vm);
	restore_end(&restore);
	machine_free(vm);
	return fires;
}

static const char *deadline_before_tsc(struct scene *scene)
{
	bool tsc_moves;
	bool fires = past_deadline_fires(scene, true, &tsc_moves);
	if (!tsc_moves)
		return "this KVM drops writes of the TSC";
	ck_assert(fires);
	if (past_deadline_fires(scene, false, &tsc_moves))
		return "this KVM arms the timer anew at each entry, by VMX's preemption timer";
	return NULL;
}

#define VECTOR_DEBUG      1
#define VECTOR_PAGE_FAULT 14
#define DR6_SINGLE_STEP   0x4000

static void set_pending(struct kvm_vcpu_events *events, uint8_t vector, uint64_t payload)
{
	events->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	events->exception.pending = 1;
	events->exception.nr = vector;
	events->exception.has_error_code = vector == VECTOR_PAGE_FAULT;
	events->exception_has_payload = 1;
	events->exception_payload = payload;
}

static const char *events_before_regs(struct scene *scene)
{
	struct image *image = &scene->image;
	take(&regs_full, 1, image);
	if ((image_machine(image)->capabilities & 1 << MACHINE_EXCEPTION_PAYLOAD) == 0)
		return "this KVM has no KVM_CAP_EXCEPTION_PAYLOAD";
	set_pending((struct kvm_vcpu_events *)(void *)image_payload(image, "events", 0), VECTOR_PAGE_FAULT, 0x1234000);
	ck_assert(is_lost(image, "regs", "events", "events", "exception.pending"));
	return NULL;
}

#define PIN        4
#define PIN_VECTOR 0x51
#define PIT_VECTOR 0x31 /* of the guest "interrupt" */

/* An edge on a pin of the IOAPIC that no LAPIC has taken yet. */
static const char *ioapic_before_lapic(struct scene *scene)
{
	struct image *image = &scene->image;
	for (int right = 0; right < 2; right++) {
		struct restore restore;
		struct vm *vm = machine_boot(&regs_full);
		image_done(image);
		image_take(vm, image);
		lapic_set(image_payload(image, "lapic", 0), LAPIC_SVR, LAPIC_SVR_ENABLED);
		struct kvm_irqchip *chip = (struct kvm_irqchip *)(void *)image_payload(image, "ioapic", 0);
		chip->chip.ioapic.redirtbl[PIN].bits = PIN_VECTOR;
		chip->chip.ioapic.irr = 1 << PIN;
		restore_begin(vm, image, &scene->report, &restore);
		put_section(&restore, image, right ? "lapic" : "ioapic");
		put_section(&restore, image, right ? "ioapic" : "lapic");
		struct buffer lapic = component_take(vm, "lapic", 0);
		ck_assert_int_eq(lapic_has_request(lapic.data, PIN_VECTOR), right);
		buffer_done(&lapic);
		restore_end(&restore);
		machine_free(vm);
	}
	return NULL;
}

static void sleep_ticks(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL); /* ten of them */
}

/* A PIT that ticks before the controllers are there waits for ever for an acknowledgement. */
static const char *pit_before_ioapic(struct scene *scene)
{
	static const char *const controllers[] = { "pic-master", "pic-slave", "ioapic", "lapic" };
	struct image *image = &scene->image;
	take(&(struct machine_kind){ "interrupt", IRQCHIP_FULL, 1 }, 1, image);
	memset(image_payload(image, "lapic", 0) + LAPIC_IRR, 0, LAPIC_IRR_SIZE);
	for (int right = 0; right < 2; right++) {
		struct restore restore;
		struct vm *vm = machine_boot(&(struct machine_kind){ "interrupt", IRQCHIP_FULL, 1 });
		restore_begin(vm, image, &scene->report, &restore);
		if (!right) {
			put_section(&restore, image, "pit");
			sleep_ticks();
		}
		for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
			put_section(&restore, image, controllers[i]);
		if (right)
			put_section(&restore, image, "pit");
		sleep_ticks();
		struct buffer lapic = component_take(vm, "lapic", 0);
		ck_assert_msg(lapic_has_request(lapic.data, PIT_VECTOR) == right, "right order %d: %d", right, !right);
		buffer_done(&lapic);
		restore_end(&restore);
		machine_free(vm);
	}
	return NULL;
}

/* ---- Save ---- */

#define MSI_ADDRESS(apic_id) (0xfee00000 | (apic_id) << 12) /* SDM volume 3, 11.11 */
#define MSI_INIT             0x500
#define MSI_STARTUP(page)    (0x600 | (page))
#define STARTUP_PAGE         8

static void send(const struct vm *vm, uint32_t apic_id, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = MSI_ADDRESS(apic_id), .data = data };
	ck_assert_int_eq(kvm_call(vm->fd, KVM_SIGNAL_MSI, &msi), 1); /* CPU that took it */
}

/* Reads then, first, then: is the second look another?  From there on all is told alike however often it is read. */
static bool is_disturbed(struct vm *vm, const char *first, const char *then, unsigned vcpu)
{
	struct buffer before = component_take(vm, then, vcpu), disturbing = component_take(vm, first, vcpu),
		      after = component_take(vm, then, vcpu), again = component_take(vm, first, vcpu),
		      last = component_take(vm, then, vcpu);
	bool differs = memcmp(before.data, after.data, after.size) != 0;
	ck_assert_mem_eq(after.data, last.data, last.size);
	ck_assert_mem_eq(disturbing.data, again.data, again.size);
	struct buffer *all[] = { &before, &disturbing, &after, &again, &last };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		buffer_done(all[i]);
	return differs;
}

/* The second CPU sleeps; INIT and SIPI reach it while the machine is paused. */
static const char *after_mp_state(const char *then)
{
	struct vm *vm = machine_boot(&(struct machine_kind){ "smp", IRQCHIP_SPLIT, 2 });
	machine_run_to(vm, 2);
	send(vm, 1, MSI_INIT);
	send(vm, 1, MSI_STARTUP(STARTUP_PAGE));
	ck_assert(is_disturbed(vm, "mp_state", then, 1));
	machine_free(vm);
	return NULL;
}

static const char *regs_before_mp_state(struct scene *scene)
{
	(void)scene;
	return after_mp_state("regs");
}

static const char *sregs_before_mp_state(struct scene *scene)
{
	(void)scene;
	return after_mp_state("sregs");
}

/* An exception with a payload is pending, and the capability that would keep the two apart is switched off. */
static const char *after_events(struct scene *scene, const char *then, uint8_t vector, uint64_t payload)
{
	struct image *image = &scene->image;
	struct restore restore;
	struct vm *vm = machine_boot(&regs_full);
	image_take(vm, image);
	if ((image_machine(image)->capabilities & 1 << MACHINE_EXCEPTION_PAYLOAD) == 0) {
		machine_free(vm);
		return "this KVM has no KVM_CAP_EXCEPTION_PAYLOAD";
	}
	set_pending((struct kvm_vcpu_events *)(void *)image_payload(image, "events", 0), vector, payload);
	restore_begin(vm, image, &scene->report, &restore);
	put_section(&restore, image, "events");
	ck_assert_uint_eq(report_bad(&scene->report), 0);
	ck_assert_int_eq(kvm_enable_capability(vm->fd, KVM_CAP_EXCEPTION_PAYLOAD, 0), 0);
	bool differs = is_disturbed(vm, "events", then, 0);
	restore_end(&restore);
	machine_free(vm);
	return differs ? NULL : "this kernel delivers the payload whatever is read first";
}

static const char *sregs_before_events(struct scene *scene)
{
	return after_events(scene, "sregs", VECTOR_PAGE_FAULT, 0x1234000);
}

static const char *debugregs_before_events(struct scene *scene)
{
	return after_events(scene, "debugregs", VECTOR_DEBUG, DR6_SINGLE_STEP);
}

/* A LAPIC as it is before the next tick: where the host is slow, that comes too early, and another one is waited for.
 */
static struct buffer lapic_before_tick(struct vm *vm, struct restore *restore, const struct image *image)
{
	for (int i = 0; i < 100; i++) {
		put_section(restore, image, "lapic");
		put_section(restore, image, "pit"); /* starts it anew */
		struct buffer lapic = component_take(vm, "lapic", 0);
		if (!lapic_has_request(lapic.data, PIT_VECTOR))
			return lapic;
		buffer_done(&lapic);
	}
	ck_abort_msg("the PIT is always faster");
}

/* A tick that comes after the LAPIC was read and before the other is read stands in neither. */
static const char *lapic_before(struct scene *scene, const char *first)
{
	struct vm *vm = machine_boot(&(struct machine_kind){ "interrupt", IRQCHIP_FULL, 1 });
	struct image *image = &scene->image;
	struct restore restore;
	machine_run_to(vm, 1);
	image_take(vm, image);
	memset(image_payload(image, "lapic", 0) + LAPIC_IRR, 0, LAPIC_IRR_SIZE);
	restore_begin(vm, image, &scene->report, &restore);
	struct buffer early = lapic_before_tick(vm, &restore, image);
	sleep_ticks();
	struct buffer other = component_take(vm, first, 0), late = component_take(vm, "lapic", 0);
	const struct kvm_irqchip *chip = (const struct kvm_irqchip *)(const void *)other.data;
	ck_assert(lapic_has_request(late.data, PIT_VECTOR));
	if (strcmp(first, "ioapic") == 0)
		ck_assert_uint_eq(chip->chip.ioapic.irr & 1, 0);
	buffer_done(&early);
	buffer_done(&other);
	buffer_done(&late);
	restore_end(&restore);
	machine_free(vm);
	return NULL;
}

static const char *lapic_before_ioapic(struct scene *scene)
{
	return lapic_before(scene, "ioapic");
}

static const char *lapic_before_pit(struct scene *scene)
{
	return lapic_before(scene, "pit");
}

/* ---- The list ---- */

static const struct {
	enum order_side side;
	const char *first, *then;
	reproduce *run;
} reproductions[] = {
	{ ORDER_RESTORE, "cpuid", "sregs", sregs_before_cpuid },
	{ ORDER_RESTORE, "cpuid", "xcrs", xcrs_before_cpuid },
	{ ORDER_RESTORE, "cpuid", "registers", registers_before_cpuid },
	{ ORDER_RESTORE, "sregs", "lapic", lapic_before_sregs },
	{ ORDER_RESTORE, "sregs", "mp_state", mp_state_before_sregs },
	{ ORDER_RESTORE, "sregs", "nested", nested_before_sregs },
	{ ORDER_RESTORE, "lapic", "IA32_TSC_DEADLINE", deadline_before_lapic },
	{ ORDER_RESTORE, "tsc", "IA32_TSC_DEADLINE", deadline_before_tsc },
	{ ORDER_RESTORE, "regs", "events", events_before_regs },
	{ ORDER_RESTORE, "lapic", "ioapic", ioapic_before_lapic },
	{ ORDER_RESTORE, "ioapic", "pit", pit_before_ioapic },
	{ ORDER_SAVE, "mp_state", "regs", regs_before_mp_state },
	{ ORDER_SAVE, "mp_state", "sregs", sregs_before_mp_state },
	{ ORDER_SAVE, "events", "sregs", sregs_before_events },
	{ ORDER_SAVE, "events", "debugregs", debugregs_before_events },
	{ ORDER_SAVE, "ioapic", "lapic", lapic_before_ioapic },
	{ ORDER_SAVE, "pit", "lapic", lapic_before_pit },
};

/* No fact without a reproduction, no reproduction without a fact. */
START_TEST(each_fact_has_a_reproduction)
{
	ck_assert_uint_eq(ARRAY_SIZE(reproductions), order_facts_size);
	for (size_t i = 0; i < order_facts_size; i++) {
		const struct order_fact *fact = &order_facts[i];
		unsigned found = 0;
		for (size_t k = 0; k < ARRAY_SIZE(reproductions); k++)
			found += reproductions[k].side == fact->side &&
				 strcmp(reproductions[k].first, fact->first) == 0 &&
				 strcmp(reproductions[k].then, fact->then) == 0;
		ck_assert_msg(found == 1, "%s before %s: %u reproductions", fact->first, fact->then, found);
	}
}
END_TEST

START_TEST(each_fact_is_reproduced)
{
	struct scene scene = { 0 };
	const char *why_not = reproductions[_i].run(&scene);
	char what[96];
	image_done(&scene.image);
	report_done(&scene.report);
	snprintf(what, sizeof(what), "%s %s before %s", reproductions[_i].side == ORDER_SAVE ? "save" : "restore",
		 reproductions[_i].first, reproductions[_i].then);
	if (why_not != NULL)
		test_skipped(what, why_not);
	else
		printf("%s: turned round, it is lost\n", what);
}
END_TEST

#define XSS KVM_X86_REG_MSR(0xda0)

/* No fact: KVM_SET_XSAVE takes user components only and does not look at IA32_XSS, so either may be first. */
START_TEST(xss_and_xsave_go_in_either_order)
{
	struct restore_step plan[RESTORE_STEPS_MAX];
	unsigned nr = plan_early("registers", "xsave", plan);
	struct report usual = { 0 }, early = { 0 };
	struct image image;
	take(&regs_full, 1, &image);
	struct vm *vm = image_restore(&image, NULL, 0, &usual);
	ck_assert_ptr_nonnull(vm);
	uint64_t xss = 0;
	kvm_reg_get(vm->vcpus[0].fd, vm->reg_access, XSS, &xss);
	machine_free(vm);
	if (xss == 0)
		test_skipped("IA32_XSS before XSAVE", "this guest's IA32_XSS is 0");
	vm = image_restore(&image, plan, nr, &early);
	if (vm == NULL)
		report_print(&early);
	ck_assert_ptr_nonnull(vm);
	machine_free(vm);
	report_done(&usual);
	report_done(&early);
	image_done(&image);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ xss_and_xsave_go_in_either_order, 1 },
		{ each_fact_has_a_reproduction, 1 },
		{ each_fact_is_reproduced, ARRAY_SIZE(reproductions) },
	};
	return kvm_test_main("order", tests, ARRAY_SIZE(tests));
}
