/**
 * The coordinator is killed again and again, and started again from its disk; each tenth time another node with it. How
 * long until what was asked right after the kill was decided.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { percentile } from '../../bench/statistics.ts'
import type { CrashNode } from '../nodes.ts'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

/** Of each kill the next one is somewhere in this time. */
const MOST_PAUSE_MS = 1_000
const TWO_EACH = 10
/** Elections that nobody wins are rare. */
const TERMS_PER_KILL = 1.5
const SPARE_TERMS = 3
/** A person wants to know of these. */
const SLOW_MS = 1_000

export interface KillsOptions {
  readonly kills: number
  /** The p99 of the time from a kill to the next decision may not be above. */
  readonly p99Ms: number
}

export const kills =
  ({ kills: count, p99Ms }: KillsOptions) =>
  async (stage: Stage): Promise<Findings> => {
    const { load, random, nodes, say } = stage
    const times: number[] = []
    const both: number[] = []
    const before = await stage.term()
    for (let i = 1; i <= count; i += 1) {
      const leader = await stage.coordinator()
      const { epoch } = await leader.ask('status')
      await delay(random.next() * MOST_PAUSE_MS)
      const others = nodes.filter((node) => node !== leader)
      const other = i % TWO_EACH === 0 ? random.pick(others) : undefined
      const victims: CrashNode[] = other === undefined ? [leader] : [leader, other]
      const killed = Promise.all(victims.map((node) => node.kill()))
      const ms = await load.probe()
      ;(other === undefined ? times : both).push(ms)
      await killed
      await Promise.all(victims.map((node) => node.start()))
      for (const node of victims) await stage.caughtUp(node)
      if (ms > SLOW_MS) say(`kill ${i}: ${Math.round(ms)} ms, ${(await stage.term()) - epoch} terms`)
      if (i % TWO_EACH === 0) say(`${i} kills, the slowest ${Math.round(Math.max(...times, ...both))} ms`)
    }
    const terms = (await stage.term()) - before
    const p99 = percentile(times, 0.99)
    const violations: string[] = []
    if (p99 > p99Ms) violations.push(`${Math.round(p99)} ms from a kill to the next decision (p99), at most ${p99Ms}`)
    if (terms > TERMS_PER_KILL * count + SPARE_TERMS) violations.push(`${terms} terms for ${count} kills`)
    return {
      figures: {
        kills: count,
        'p50 ms': percentile(times, 0.5),
        'p99 ms': p99,
        'max ms': Math.max(...times),
        ...(both.length > 0 && { 'two at once, max ms': Math.max(...both) }),
      },
      violations,
    }
  }
