/**
 * A program that blocks its event loop for seconds: where it does not coordinate no term ends, where it does one election
 * follows; and it disturbs nobody when it goes on.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { watchBusy } from '../busy.ts'
import { waits } from '../judge.ts'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

export interface BlockedOptions {
  readonly ms: number
  /** It is watched for so long after it goes on. */
  readonly afterMs: number
  /** While a follower stands still, decisions go on without a break above. */
  readonly gapMs: number
}

export const blocked =
  ({ ms, afterMs, gapMs: most }: BlockedOptions) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, random, load, receiver } = stage
    const violations: string[] = []

    const busy = watchBusy()
    const before = await stage.term()
    const leader = await stage.coordinator()
    const follower = random.pick(nodes.filter((node) => node !== leader)) ?? leader
    const from = performance.now()
    await follower.block(ms)
    await delay(afterMs)
    const { gapMs } = waits(load.decisions, from, performance.now())
    const followerTerms = (await stage.term()) - before
    if (gapMs > most) violations.push(`nothing was decided for ${Math.round(gapMs)} ms while a follower was blocked`)
    await stage.caughtUp(follower)

    const old = await stage.coordinator()
    const { epoch } = await old.ask('status')
    const blockedAt = performance.now()
    const over = old.block(ms)
    const decided = await load.probe()
    const next = await stage.coordinator()
    const otherMs = performance.now() - blockedAt
    await over
    const at = receiver.taken.length
    await delay(afterMs)
    const coordinatorTerms = (await stage.term()) - epoch
    if (next === old) violations.push(`${old.name} coordinates on, although it was blocked for ${ms} ms`)
    const { worstMs, spareTerms } = busy()
    if (followerTerms > spareTerms) violations.push(`${followerTerms} terms ended while a follower was blocked`)
    if (coordinatorTerms < 1 || coordinatorTerms > 1 + spareTerms)
      violations.push(`${coordinatorTerms} elections after the coordinator was blocked, not one`)
    const acted = receiver.taken.slice(at).filter((one) => one.epoch <= epoch && one.refused === undefined)
    if (acted.length > 0) violations.push(`${old.name} acted ${acted.length} times after it was replaced`)
    await stage.caughtUp(old)
    return {
      figures: {
        'blocked ms': ms,
        'terms by a follower': followerTerms,
        'longest gap by a follower, ms': gapMs,
        'elections by the coordinator': coordinatorTerms,
        'another acts, ms': otherMs,
        'decided, ms': decided,
        'the driver waited, max ms': worstMs,
      },
      violations,
    }
  }
