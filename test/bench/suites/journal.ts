/**
 * Suite journal: decisions that are on the disks of a majority of 3 and of 5 voters before they are answered, asked for by
 * a process without a vote, beside one synced store without a network. Floors: design document, section 8.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { judge } from '../floors.ts'
import type { Reading } from '../ledger.ts'
import type { Suite } from '../suite.ts'
import { connect, startSeats } from './seats.ts'

const RUN_LIMIT_MS = 30_000
/** Four processes on two cores take so long until they run at full speed. */
const WARM_UP_MS = 6_000
const DURATION_MS = 2_000
/** What one node may have under way in its session. */
const BUSY = 256
const LIMIT = 'synced-store'
const VOTERS = [3, 5]

const figures = z.object({ perSecond: z.number(), p50Ms: z.number(), p99Ms: z.number() })

const caseOf = (voters: number, inFlight: number): string => `${voters} voters, ${inFlight} in flight`

export const journal: Suite = {
  name: 'journal',
  about: 'decisions on the disks of a majority: decisions/s and latency, beside one synced store',
  systems: [SUBJECT, LIMIT],

  measure: async (start, pause) => {
    const found: Reading[] = []
    for (const voters of VOTERS) {
      const seats = await startSeats(start, voters)
      const decider = await connect(start, seats)
      const run = (inFlight: number, durationMs: number) =>
        decider.ask('run', { inFlight, durationMs }, figures, RUN_LIMIT_MS)
      await run(BUSY, WARM_UP_MS)
      for (const inFlight of [BUSY, 1]) {
        await pause()
        const { perSecond, p50Ms, p99Ms } = await run(inFlight, DURATION_MS)
        const name = caseOf(voters, inFlight)
        found.push(
          { case: name, metric: 'decisions', unit: '/s', value: perSecond },
          { case: name, metric: 'p50', unit: 'ms', value: p50Ms },
          { case: name, metric: 'p99', unit: 'ms', value: p99Ms },
        )
      }
      await Promise.all([decider, ...seats.map(({ end }) => end)].map((end) => end.stop()))
    }
    return found
  },

  floors: (ledger) =>
    VOTERS.map((voters) =>
      judge({
        name: `decisions/s with ${voters} voters on disk (at least)`,
        bound: 'least',
        byRound: ledger.values(SUBJECT, caseOf(voters, BUSY), 'decisions'),
        floor: 1_000,
        aim: 10_000,
      }),
    ),
}
