/**
 * Each node in turn is stopped in order (SIGTERM) and started again. The programs that use the journal see no error, only
 * some waiting; a term ends only where the one that was stopped coordinated.
 */
import { watchBusy } from '../busy.ts'
import { waits } from '../judge.ts'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

export interface RollingOptions {
  readonly rounds: number
  /** The longest time without an answer may not be above. */
  readonly gapMs: number
}

export const rolling =
  ({ rounds, gapMs: most }: RollingOptions) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, load } = stage
    const busy = watchBusy()
    const before = await stage.term()
    const from = performance.now()
    const known = load.decisions.length
    const violations: string[] = []
    let handedOver = 0
    let handOverMs = 0
    let stopMs = 0
    for (let round = 0; round < rounds; round += 1) {
      for (const node of nodes) {
        const isLeader = (await stage.coordinator()) === node
        const at = performance.now()
        const { how, ms } = await node.terminate()
        if (isLeader) {
          handedOver += 1
          handOverMs = Math.max(handOverMs, waits(load.decisions, at, performance.now()).gapMs)
        }
        stopMs = Math.max(stopMs, ms)
        if (how !== 0) violations.push(`${node.name} ended with ${how}`)
        await node.start()
        await stage.caughtUp(node)
      }
    }
    const terms = (await stage.term()) - before
    const { gapMs, slowestMs } = waits(load.decisions, from, performance.now())
    const errors = load.decisions.slice(known).filter(({ outcome }) => outcome !== 'acknowledged')
    for (const { key, outcome, why } of errors.slice(0, 5)) violations.push(`${key} was ${outcome}: ${why}`)
    const { worstMs, spareTerms } = busy()
    if (terms > handedOver + spareTerms) violations.push(`${terms} terms, ${handedOver} coordinators were stopped`)
    if (gapMs > most) violations.push(`nothing was decided for ${Math.round(gapMs)} ms, at most ${most}`)
    return {
      figures: {
        rounds,
        'coordinators stopped': handedOver,
        errors: errors.length,
        'longest gap, ms': gapMs,
        'longest gap while a coordinator stops, ms': handOverMs,
        'slowest, ms': slowestMs,
        'stop, max ms': stopMs,
        'the driver waited, max ms': worstMs,
      },
      violations,
    }
  }
