/**
 * What honest members notice of an attack: one calls the node under attack and publishes, the node hears; before the attack
 * and during it, with the memory of the node. Keeps no state beyond one measurement.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { grown, type Member } from './member.ts'

const CALM_MS = 2_000
const EVERY_MS = 10
const WEIGH_MS = 100

export interface Service {
  readonly callP99Ms: number
  readonly eventP99Ms: number
  readonly slowestCallMs: number
  readonly failedCalls: number
  readonly calls: number
  readonly lostEvents: number
  readonly events: number
}

export interface Noticed {
  readonly before: Service
  readonly during: Service
  /** Resident memory before, and its highest from then on. */
  readonly beforeMib: number
  readonly peakMib: number
  /** Counters of the node that grew. */
  readonly refused: Readonly<Record<string, number>>
}

export interface Pair {
  /** The node under attack. */
  readonly victim: Member
  readonly caller: Member
}

/** The service while `work` runs. */
const during = async ({ victim, caller }: Pair, work: () => Promise<void>): Promise<Service> => {
  await victim.ask('heard')
  await caller.ask('beginLoad', { to: victim.facts().id, everyMs: EVERY_MS })
  const [outcome] = await Promise.allSettled([work()])
  const served = await caller.ask('endLoad')
  // What is on its way is not lost.
  await delay(EVERY_MS * 50)
  const heard = await victim.ask('heard')
  if (outcome.status === 'rejected') throw outcome.reason
  return {
    callP99Ms: served.p99Ms,
    eventP99Ms: heard.p99Ms,
    slowestCallMs: served.slowestMs,
    failedCalls: served.failed,
    calls: served.calls,
    lostEvents: Math.max(0, served.published - heard.events),
    events: served.published,
  }
}

/**
 * Plays the attack while the pair works.
 * @param begin what goes before: its memory counts, what it costs in that moment does not
 */
export const notice = async (
  pair: Pair,
  attack: () => Promise<void>,
  begin: () => Promise<void> = async () => {},
): Promise<Noticed> => {
  const { victim } = pair
  // The first round compiles the hot paths, and the heap finds its size.
  await during(pair, () => delay(CALM_MS))
  const before = await during(pair, () => delay(CALM_MS))
  const refusedBefore = await victim.refusals()
  const beforeMib = victim.memoryMib()
  let peakMib = beforeMib
  const weighing = setInterval(() => {
    peakMib = Math.max(peakMib, victim.memoryMib())
  }, WEIGH_MS)
  try {
    await begin()
    const served = await during(pair, attack)
    return { before, during: served, beforeMib, peakMib, refused: grown(refusedBefore, await victim.refusals()) }
  } finally {
    clearInterval(weighing)
  }
}
