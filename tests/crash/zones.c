/* SPDX-License-Identifier: BSD-3-Clause */
/* zones.c - see zones.h. The linker leads the engine's calls through here. */
#include "zones.h"

#include "rng.h"
#include "run.h"
#include "space/space_zones.h"

#define ONE_IN 4u

struct zone_counts zone_counts;

int __real_space_zone_compact(struct space *s, size_t z, uint64_t boundary, uint64_t *pages);
int __wrap_space_zone_compact(struct space *s, size_t z, uint64_t boundary, uint64_t *pages);

/* A run is the same each time, whichever of its images are opened: so the choice is made from where
 * it is, and not by a generator. */
int __wrap_space_zone_compact(struct space *s, size_t z, uint64_t boundary, uint64_t *pages)
{
	const size_t per_dir = s->psize / FMT_WORD;
	const uint64_t dice = rng_mix(run.seed ^ rng_mix(run.stream.made + 1) ^ z);
	int rc = __real_space_zone_compact(s, z, boundary, pages);

	zone_counts.moved += rc ? 0 : *pages;
	if (rc || *pages)
		return rc;
	if (dice % ONE_IN == 0) {
		++*pages;
		rc = space_bitmap_move(s, z);
	}
	if (!rc && z % per_dir == 0 && dice / ONE_IN % ONE_IN == 0) {
		++*pages;
		rc = space_dir_move(s, z / per_dir);
	}
	zone_counts.put_elsewhere += rc ? 0 : *pages;
	return rc;
}
