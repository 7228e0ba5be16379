/**
 * The coordinator is frozen for a while. Another one acts meanwhile; the frozen one must not act on waking: what it had
 * decided before, and sends now, is refused, and what it reads is as new as ever.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

const FROZEN_MS = 3_000
const AWAKE_MS = 15_000

export interface FreezesOptions {
  readonly freezes: number
  /** Another one acts within this time. */
  readonly otherActsMs: number
}

export const freezes =
  ({ freezes: count, otherActsMs }: FreezesOptions) =>
  async (stage: Stage): Promise<Findings> => {
    const { load, receiver } = stage
    const others: number[] = []
    const decided: number[] = []
    const letGo: number[] = []
    const violations: string[] = []
    let refusals = 0
    for (let i = 0; i < count; i += 1) {
      const leader = await stage.coordinator()
      const { epoch } = await leader.ask('status')
      await until('it directs', () => receiver.taken.some((one) => one.epoch === epoch && one.peer === leader.id))
      const { awakenings } = await leader.ask('acted')

      const frozenAt = performance.now()
      leader.freeze()
      const probe = load.probe()
      const next = await stage.coordinator()
      others.push(performance.now() - frozenAt)
      if (next === leader) throw new Error('a frozen node answers')
      decided.push(await probe)
      await until('the next one directs', () => receiver.taken.some((one) => one.epoch > epoch))
      await delay(Math.max(0, frozenAt + FROZEN_MS - performance.now()))
      const from = receiver.taken.length
      const thawedAt = performance.now()
      leader.thaw()
      const awake = await until(
        'it noticed that it stood still',
        async () => (await leader.ask('acted')).awakenings[awakenings.length],
        AWAKE_MS,
      )
      await until('it does not act', async () => (await leader.ask('status')).epoch > epoch, AWAKE_MS)
      letGo.push(performance.now() - thawedAt)
      if (awake.counter !== undefined) load.noteRead(`${leader.name} on waking`, awake.counter, thawedAt)
      const ofOld = receiver.taken.slice(from).filter((one) => one.peer === leader.id && one.epoch <= epoch)
      refusals += ofOld.filter(({ refused }) => refused === 'STA002').length
      const acted = ofOld.filter(({ refused }) => refused === undefined).length
      if (acted > 0) violations.push(`${leader.name} acted ${acted} times in epoch ${epoch} after it was replaced`)
      if (awake.late !== 'STA002')
        violations.push(`what ${leader.name} sent late was not refused with STA002: ${awake.late}`)
      await stage.caughtUp(leader)
    }
    const most = Math.max(...others)
    if (most > otherActsMs) violations.push(`${Math.round(most)} ms until another one acted, at most ${otherActsMs}`)
    if (refusals === 0) violations.push('no late directive came: nothing was shown')
    return {
      figures: {
        freezes: count,
        'another acts, max ms': most,
        'decided, max ms': Math.max(...decided),
        'lets go, max ms': Math.max(...letGo),
        'late directives refused': refusals,
      },
      violations,
    }
  }
