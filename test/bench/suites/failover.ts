/**
 * Suite failover: five voters, the one that coordinates is killed (SIGKILL) again and again, while a process without a vote
 * goes on asking for decisions. From the kill to the first answer to what was asked after it; and nothing that was answered
 * may be gone. Floors: design document, section 8.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { sharedNowMs } from '../body.ts'
import { SUBJECT } from '../catalogue.ts'
import { judge } from '../floors.ts'
import { percentile } from '../statistics.ts'
import type { Suite } from '../suite.ts'
import { connect, leaderOf, restart, startSeats } from './seats.ts'

const VOTERS = 5
const KILLS = 20
const LANES = 4
const LIMIT_MS = 60_000
/** Who came back takes part again. */
const SETTLE_MS = 1_000
const CASE = `the coordinator of ${VOTERS} voters is killed ${KILLS} times`

const outcome = z.object({ acknowledged: z.number(), lost: z.number(), failures: z.number() })

export const failover: Suite = {
  name: 'failover',
  about: 'the coordinator is killed: time to the next decision, and what is lost',
  systems: [SUBJECT],

  measure: async (start) => {
    const seats = await startSeats(start, VOTERS)
    const decider = await connect(start, seats)
    await decider.ask('begin', LANES, z.null(), LIMIT_MS)
    const timesMs: number[] = []
    while (timesMs.length < KILLS) {
      await delay(SETTLE_MS)
      const leader = await leaderOf(seats)
      if (leader === undefined) continue
      const killedAtMs = sharedNowMs()
      await leader.end.kill()
      timesMs.push(await decider.ask('after', killedAtMs, z.number(), LIMIT_MS))
      await restart(leader, start, seats)
    }
    const { acknowledged, lost, failures } = await decider.ask('end', null, outcome, LIMIT_MS)
    const row = (metric: string, unit: string, value: number) => ({ case: CASE, metric, unit, value })
    return [
      row('p50', 'ms', percentile(timesMs, 0.5)),
      row('p99', 'ms', percentile(timesMs, 0.99)),
      row('acknowledged', '', acknowledged),
      row('lost', '', lost),
      row('failed', '', failures),
    ]
  },

  floors: (ledger) => {
    // A rare long one is what a p99 is about: the worst round counts, not the median of rounds.
    const worst = (metric: string): (number | undefined)[] => {
      const values = ledger.values(SUBJECT, CASE, metric)
      const known = values.filter((value): value is number => value !== undefined)
      return [known.length < values.length || known.length === 0 ? undefined : Math.max(...known)]
    }
    return [
      judge({
        name: 'coordinator killed to the next decision, p99 of the worst round, ms (at most)',
        bound: 'most',
        byRound: worst('p99'),
        floor: 2_000,
        aim: 1_000,
      }),
      judge({ name: 'acknowledged decisions lost (at most)', bound: 'most', byRound: worst('lost'), floor: 0, aim: 0 }),
    ]
  },
}
