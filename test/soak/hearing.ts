/**
 * Events of one node: it publishes at a steady rate and hears everyone, and checks the sequence of each publisher.
 * A second subscription comes and goes, as those of programs do.
 *
 * State: the subscriptions, their sequences, counts.
 */
import type { Mesh } from '../../node/index.ts'
import type { Subscription } from '../../protocols/events/api.ts'
import { createSequences } from './sequence.ts'

const WORD = 'soak'
const ASIDE = 'aside'
/** Of each `ASIDE_SHARE` events one goes to the other word. */
const ASIDE_SHARE = 8
/** Of all events that are published, those that every node hears. */
export const MAIN_SHARE = 1 - 1 / ASIDE_SHARE
const TOGGLE_MS = 2_000
const TICK_MS = 50
/** Fewer than a node keeps figures of. */
const TOPICS = 100
const MAX_PUBLISHERS = 256

export interface Hearing {
  readonly counts: {
    published: number
    /** Of these, those that every node hears. */
    publishedToAll: number
    heard: number
    lost(): number
    late(): number
    /** Of publishers that are counted: reported as missed and not heard since. */
    lostOfCounted(): number
    heardFrom: Map<string, number>
    /** Of publishers that are counted the last number that was heard, or reported as missed. */
    lastOf: Map<string, number>
  }
  pause(): Promise<void>
  resume(): void
  stop(): Promise<void>
}

export interface HearingOptions {
  readonly eventsPerSecond: number
  /** Publishers of which is counted how many of their events came. */
  readonly counted: readonly string[]
  wrong(what: string): void
}

export const startHearing = async (mesh: Mesh, options: HearingOptions): Promise<Hearing> => {
  const { counted, wrong } = options
  const sequences = createSequences(MAX_PUBLISHERS)
  const sequencesOfCounted = createSequences(counted.length)
  const heardFrom = new Map(counted.map((id) => [id, 0]))
  const lastOf = new Map<string, number>()
  const counts = {
    published: 0,
    publishedToAll: 0,
    heard: 0,
    lost: () => sequences.lost() + sequencesOfCounted.lost(),
    late: () => sequences.late() + sequencesOfCounted.late(),
    lostOfCounted: sequencesOfCounted.lost,
    heardFrom,
    lastOf,
  }
  let paused = false
  let due = 0
  let inFlight = 0
  let aside: { subscription: Subscription } | undefined
  let toggling: Promise<void> = Promise.resolve()

  const subscribe = (word: string, of: (publisher: string) => ReturnType<typeof createSequences>, count: boolean) => {
    const note = (publisher: string, sequence: number): void => {
      if (count && heardFrom.has(publisher)) lastOf.set(publisher, Math.max(lastOf.get(publisher) ?? 0, sequence))
    }
    return mesh.events.subscribe(
      `${word}.#`,
      ({ source, sequence, topic }) => {
        if (count) {
          counts.heard += 1
          const before = heardFrom.get(source)
          if (before !== undefined) heardFrom.set(source, before + 1)
        }
        note(source, sequence)
        const problem = of(source).heard(source, sequence)
        if (problem !== undefined) wrong(`${mesh.self.name} heard ${topic} of ${source}: ${problem}`)
      },
      {
        onMissed({ publisher, from, to }) {
          note(publisher, to)
          of(publisher).missed(publisher, from, to)
        },
      },
    )
  }

  const main = await subscribe(WORD, (publisher) => (heardFrom.has(publisher) ? sequencesOfCounted : sequences), true)

  const publish = async (): Promise<void> => {
    inFlight += 1
    counts.published += 1
    const word = counts.published % ASIDE_SHARE === 0 ? ASIDE : WORD
    if (word === WORD) counts.publishedToAll += 1
    try {
      await mesh.events.publish(`${word}.topic-${counts.published % TOPICS}`, { n: counts.published })
    } catch (error) {
      wrong(`${mesh.self.name} could not publish: ${error instanceof Error ? error.message : String(error)}`)
    } finally {
      inFlight -= 1
    }
  }

  const toggle = async (): Promise<void> => {
    if (aside !== undefined) {
      void aside.subscription.stop()
      aside = undefined
      return
    }
    const known = createSequences(MAX_PUBLISHERS)
    aside = { subscription: await subscribe(ASIDE, () => known, false) }
  }

  const ticking = setInterval(() => {
    if (paused) return
    due += (options.eventsPerSecond * TICK_MS) / 1000
    for (; due >= 1; due -= 1) void publish()
  }, TICK_MS)
  const togglingTimer = setInterval(() => {
    toggling = toggling.then(toggle).catch((error: unknown) => wrong(`subscribing failed: ${error}`))
  }, TOGGLE_MS)

  const quiet = async (): Promise<void> => {
    await toggling
    while (inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  }

  return {
    counts,
    pause() {
      paused = true
      return quiet()
    },
    resume() {
      paused = false
    },
    async stop() {
      paused = true
      clearInterval(ticking)
      clearInterval(togglingTimer)
      await quiet()
      void aside?.subscription.stop()
      void main.stop()
    },
  }
}
