/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of what the grant `hardware` gives: interrupt lines, ports, machine checks, CPUs. The
 * real-time clock serves for lines and ports: nobody else uses it. */
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define RTC_INDEX   0x70u
#define RTC_DATA    0x71u
#define RTC_LINE    8u
#define RTC_ALARM   0x01u /* seconds of the alarm: a byte of storage while the alarm is off */
#define RTC_A	    0x0au
#define RTC_B	    0x0bu
#define RTC_C	    0x0cu
#define RTC_A_1KHZ  0x26u
#define RTC_B_24H   0x02u
#define RTC_B_TICKS 0x40u /* periodic interrupts */
#define TICK_US	    1000u

static uint64_t ports;

static void rtc_write(uint8_t index, uint8_t value)
{
	forge_must(cairn_port_out(ports, RTC_INDEX, 1, index), "selecting an RTC register");
	forge_must(cairn_port_out(ports, RTC_DATA, 1, value), "writing an RTC register");
}

static uint8_t rtc_read(uint8_t index)
{
	uint64_t value = 0;

	forge_must(cairn_port_out(ports, RTC_INDEX, 1, index), "selecting an RTC register");
	forge_must(cairn_port_in(ports, RTC_DATA, 1, &value), "reading an RTC register");
	return (uint8_t)value;
}

static uint64_t one_line(void)
{
	return forge_copy(SEL_IRQS, RIGHT_ALL, RTC_LINE | RTC_LINE << 16);
}

static void two_ports(void)
{
	ports = forge_copy(SEL_PORTS, RIGHT_ALL, RTC_INDEX | RTC_DATA << 16);
}

static void ticks_on(void)
{
	rtc_write(RTC_A, RTC_A_1KHZ);
	rtc_write(RTC_B, RTC_B_24H | RTC_B_TICKS);
	(void)rtc_read(RTC_C);
}

static void ticks_off(void)
{
	rtc_write(RTC_B, RTC_B_24H);
	(void)rtc_read(RTC_C);
}

/* Whether a tick arrives within a hundred. The clock ticks again once register C was read. */
static bool tick_arrives(unsigned patience)
{
	uint64_t bits = 0, end = cairn_tsc() + cairn_ticks_from_us((uint64_t)patience * TICK_US);

	(void)rtc_read(RTC_C);
	while (cairn_wait(end, &bits) == CAIRN_OK)
		if ((bits & SIGNAL_SELF) != 0)
			return true;
	return false;
}

/* What earlier tests have left. */
static void drain(void)
{
	while (cairn_wait(1, NULL) == CAIRN_OK)
		;
}

static bool no_tick(void)
{
	return !tick_arrives(2);
}

static uint64_t bare_thread(void)
{
	uint64_t thread = forge_select();

	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, thread, 0),
		   "making a Thread");
	return thread;
}

HYPERCALL_TEST(irq_bind)
{
	const struct wrong more[] = {
		{0, SEL_IRQS, CAIRN_ERR_ARG},
		{1, bare_thread(), CAIRN_ERR_STATE},
		{0, forge_copy(SEL_IRQS, RIGHT_ALL, RTC_LINE | (RTC_LINE + 1) << 16),
		 CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "irq-bind",
			  .number = CAIRN_CALL_IRQ_BIND,
			  .unchanged = no_tick,
			  TRIAL_MORE(more)};
	struct worker w;

	two_ports();
	drain();
	ticks_on();
	worker_make(&w, NULL, 0, PRIORITY_LOW, NULL);
	t.good[0] = one_line();
	t.good[1] = forge_copy(w.thread, RIGHT_ALL, 1);
	trial_refused(&t);
	t.good[1] = SEL_SELF;
	trial_accepted(&t);
	check_true("a-bound-line-interrupts", tick_arrives(1000), "no interrupt came");
	ticks_off();
}

HYPERCALL_TEST(irq_ack)
{
	const struct wrong more[] = {
		{0, SEL_IRQS, CAIRN_ERR_ARG},
		{0, forge_copy(SEL_IRQS, RIGHT_ALL, RTC_LINE | (RTC_LINE + 1) << 16),
		 CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "irq-ack",
			  .number = CAIRN_CALL_IRQ_ACK,
			  .unchanged = no_tick,
			  TRIAL_MORE(more)};

	two_ports();
	drain();
	t.good[0] = one_line();
	forge_must(cairn_irq_bind(t.good[0], SEL_SELF), "binding a line");
	ticks_on();
	check_true("an-interrupt-masks-its-line", tick_arrives(1000), "no interrupt came");
	trial_run(&t);
	check_true("until-it-is-acknowledged", tick_arrives(1000), "no interrupt came");
	ticks_off();
}

HYPERCALL_TEST(port_in)
{
	static const struct wrong more[] = {
		{1, RTC_INDEX - 1, CAIRN_ERR_ARG},
		{1, RTC_DATA + 1, CAIRN_ERR_ARG},
		{1, 0, CAIRN_ERR_ARG},
		{1, 0xf4, CAIRN_ERR_ARG},
		{1, 0x10000 | RTC_DATA, CAIRN_ERR_ARG},
		{1, 1ul << 32 | RTC_DATA, CAIRN_ERR_ARG},
		{1, 1ul << 63 | RTC_DATA, CAIRN_ERR_ARG},
		{1, ~0ul, CAIRN_ERR_ARG},
		{2, 2, CAIRN_ERR_ARG},
		{2, 4, CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "port-in", .number = CAIRN_CALL_PORT_IN, TRIAL_MORE(more)};

	two_ports();
	t.good[0] = ports;
	t.good[1] = RTC_DATA;
	t.good[2] = 1;
	trial_run(&t);
	t.name = "port-in-at-the-last-port";
	t.more_count = 0;
	t.ignored = 1u << 1;
	t.good[0] = SEL_PORTS;
	t.good[1] = 0xffff;
	trial_run(&t);
	check_status("a-wide-access-beyond-the-last-port-is-refused",
		     cairn_port_in(SEL_PORTS, 0xffff, 2, NULL), CAIRN_ERR_ARG);
}

static bool alarm_is_unchanged(void)
{
	return rtc_read(RTC_ALARM) == 0x12;
}

static cairn_status_t write_alarm(uint64_t number, const uint64_t *arguments)
{
	forge_must(cairn_port_out(ports, RTC_INDEX, 1, RTC_ALARM), "selecting an RTC register");
	return raw_call(number, arguments);
}

HYPERCALL_TEST(port_out)
{
	static const struct wrong more[] = {
		{1, RTC_INDEX - 1, CAIRN_ERR_ARG},
		{1, RTC_DATA + 1, CAIRN_ERR_ARG},
		{1, 0xf4, CAIRN_ERR_ARG},
		{1, 0x10000 | RTC_DATA, CAIRN_ERR_ARG},
		{1, 1ul << 32 | RTC_DATA, CAIRN_ERR_ARG},
		{1, 1ul << 63 | RTC_DATA, CAIRN_ERR_ARG},
		{1, ~0ul, CAIRN_ERR_ARG},
		{2, 2, CAIRN_ERR_ARG},
		{2, 4, CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "port-out",
			  .number = CAIRN_CALL_PORT_OUT,
			  .unchanged = alarm_is_unchanged,
			  .call = write_alarm,
			  TRIAL_MORE(more)};

	two_ports();
	rtc_write(RTC_ALARM, 0x12);
	t.good[0] = ports;
	t.good[1] = RTC_DATA;
	t.good[2] = 1;
	t.good[3] = 0x34;
	trial_run(&t);
	check_value("the-good-write-arrives", rtc_read(RTC_ALARM), 0x34);
}

#define SERIAL_PORTS 8u
#define SERIAL_LSR   5u
#define LSR_IDLE     0x40u
#define IDLE_READS   1000u
#define MAX_READS    10000000u

/* The kernel says its first lines again: not in the middle of the console's. */
static void wait_for_silence(uint64_t port)
{
	uint64_t value = 0;

	for (unsigned i = 0, idle = 0; i < MAX_READS && idle < IDLE_READS; i++) {
		forge_must(cairn_port_in(SEL_PORTS, port + SERIAL_LSR, 1, &value),
			   "reading the serial port");
		idle = (value & LSR_IDLE) != 0 ? idle + 1 : 0;
	}
}

static uint64_t some_ports(uint64_t first, uint64_t count)
{
	return forge_copy(SEL_PORTS, RIGHT_ALL, first | (first + count - 1) << 16);
}

HYPERCALL_TEST(serial)
{
	uint64_t port = cairn_info()->serial_port;
	const struct wrong more[] = {
		{0, SEL_PORTS, CAIRN_ERR_ARG},
		{0, some_ports(port, SERIAL_PORTS - 1), CAIRN_ERR_ARG},
		{0, some_ports(port, SERIAL_PORTS + 1), CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "serial", .number = CAIRN_CALL_SERIAL, TRIAL_MORE(more)};

	t.good[0] = some_ports(port, SERIAL_PORTS);
	wait_for_silence(port);
	trial_run(&t);
}

HYPERCALL_TEST(mc_bind)
{
	const struct wrong more[] = {{1, bare_thread(), CAIRN_ERR_STATE}};
	struct trial t = {.name = "mc-bind", .number = CAIRN_CALL_MC_BIND, TRIAL_MORE(more)};
	struct worker w;

	worker_make(&w, NULL, 0, PRIORITY_LOW, NULL);
	t.good[0] = SEL_ERRORS;
	t.good[1] = forge_copy(w.thread, RIGHT_ALL, 1);
	trial_run(&t);
}

HYPERCALL_TEST(mc_harvest)
{
	static const struct wrong more[] = {{2, 1ul << 40, CAIRN_ERR_ARG},
					    {2, 1ul << 63, CAIRN_ERR_ARG},
					    {2, ~0ul, CAIRN_ERR_ARG}};
	struct trial t = {.name = "mc-harvest", .number = CAIRN_CALL_MC_HARVEST, TRIAL_MORE(more)};

	t.good[0] = SEL_ERRORS;
	trial_run(&t);
}

HYPERCALL_TEST(mc_thaw)
{
	static const struct wrong more[] = {{2, 1ul << 40, CAIRN_ERR_ARG},
					    {2, 1ul << 63, CAIRN_ERR_ARG},
					    {2, ~0ul, CAIRN_ERR_ARG}};
	struct trial t = {.name = "mc-thaw", .number = CAIRN_CALL_MC_THAW, TRIAL_MORE(more)};

	t.good[0] = SEL_ERRORS;
	t.good[1] = forge_select();
	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, t.good[1], 0),
		   "making a VCpu");
	trial_run(&t);
}

#define ABSENT_APIC 200u

static unsigned cpus_before;

static bool no_cpu_more(void)
{
	return cpu_count() == cpus_before;
}

/* The id of the CPU this runs on. */
static uint64_t own_apic(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return b >> 24;
}

HYPERCALL_TEST(cpu_start)
{
	const struct wrong more[] = {{1, own_apic(), CAIRN_ERR_BUSY}};
	struct trial t = {.name = "cpu-start",
			  .number = CAIRN_CALL_CPU_START,
			  .unchanged = no_cpu_more,
			  TRIAL_MORE(more)};

	cpus_before = cpu_count();
	t.good[0] = SEL_CPUS;
	t.good[1] = ABSENT_APIC;
	trial_refused(&t);
	check_status("an-absent-cpu-does-not-answer", cairn_cpu_start(SEL_CPUS, ABSENT_APIC, NULL),
		     CAIRN_ERR_CPU);
	check_true("and-gets-no-index", no_cpu_more(), "there is one more");
}
