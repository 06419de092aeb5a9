#include "step_times.h"

#include "now.h"

void step_times_start(struct step_times *times)
{
	times->nr = 0;
	times->start_ns = now_ns();
}

void step_times_add(struct step_times *times, const char *what, const char *name)
{
	if (times->nr < STEP_TIMES_MAX)
		times->steps[times->nr++] = (struct step_time){ .what = what, .name = name, .ns = now_ns() };
}

void step_times_print(FILE *out, const struct step_times *times)
{
	int64_t before = times->start_ns;
	fprintf(out, "%10s %10s  step\n", "us", "of it");
	for (unsigned i = 0; i < times->nr; i++) {
		const struct step_time *step = &times->steps[i];
		fprintf(out, "%10.1f %10.1f  %s%s%s\n", (double)(step->ns - times->start_ns) / 1e3,
			(double)(step->ns - before) / 1e3, step->what, step->name[0] != '\0' ? " " : "", step->name);
		before = step->ns;
	}
}
