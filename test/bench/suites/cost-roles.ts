/**
 * The one end of the cost suite: both ends of calls and of events in this process, of one tree or of two.
 *
 * Each of the trees has its windows in turns, a few hundredths of a second each. One process has one heap, one collector
 * and one mood of the machine, so that what differs is what the code does. State: the bodies' sequence.
 */
import { z } from 'zod'
import { bodies } from '../body.ts'
import type { Roles } from '../role.ts'
import { spread } from '../statistics.ts'
import type { Caller, Publisher, System } from '../system.ts'

const WINDOW_MS = 40
const WARM_UP_WINDOWS = 25
const ARRIVE_LIMIT_MS = 5_000
const MOST_UNHEARD = 4_096
const EVENT_BYTES = 256

/** `reversed`: the others are loaded first. Who comes first has other luck with what the two share. */
export const inputSchema = z.object({ others: z.array(z.string()), reversed: z.boolean() })
export const callsSchema = z.object({ bytes: z.int(), inFlight: z.int().positive(), windows: z.int().positive() })
export const eventsSchema = z.object({ windows: z.int().positive() })
/** Microseconds of processor a message, one figure for each tree: this one's first. */
export const costsSchema = z.array(z.number())

/** Works for as long as it is told, and says how many messages that were. */
type Window = (forMs: number) => Promise<number>

const microseconds = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const calls =
  ({ call }: Pick<Caller, 'call'>, bytes: number, inFlight: number): Window =>
  async (forMs) => {
    const body = bodies(bytes)
    const until = performance.now() + forMs
    let count = 0
    const lane = async (): Promise<void> => {
      while (performance.now() < until) {
        const sent = body(count)
        const { data } = await call(sent)
        if (data !== sent.data) throw new Error('the answer is not the body that was sent')
        count += 1
      }
    }
    await Promise.all(Array.from({ length: inFlight }, lane))
    return count
  }

interface Stage {
  readonly caller: Caller
  readonly events: Window
  stop(): Promise<void>
}

const hearing = (publisher: Publisher, heard: { count: number }): Window => {
  const body = bodies(EVENT_BYTES)
  const settle = async (most: number, until: () => number): Promise<void> => {
    const limit = performance.now() + ARRIVE_LIMIT_MS
    while (until() > most) {
      if (performance.now() > limit) throw new Error(`${until()} events did not arrive`)
      await new Promise(setImmediate)
    }
  }
  return async (forMs) => {
    const until = performance.now() + forMs
    const before = heard.count
    let sent = 0
    const unheard = (): number => sent - (heard.count - before)
    while (performance.now() < until) {
      await publisher.publish(Array.from({ length: publisher.batch }, (_, i) => body(sent + i)))
      sent += publisher.batch
      await settle(MOST_UNHEARD, unheard)
    }
    await settle(0, unheard)
    return sent
  }
}

const set = async ({ rpc, events }: System): Promise<Stage> => {
  if (rpc === undefined || events === undefined) throw new Error('this system takes no part in rpc or events')
  const responder = await rpc.respond()
  const caller = await rpc.connect(responder.address)
  const heard = { count: 0 }
  const subscriber = await events.subscribe(() => {
    heard.count += 1
  })
  const publisher = await events.connect(subscriber.address)
  const limit = performance.now() + ARRIVE_LIMIT_MS
  while (heard.count === 0) {
    if (performance.now() > limit) throw new Error('no event arrives')
    await publisher.publish([bodies(EVENT_BYTES)(0)])
    await new Promise((resolve) => setTimeout(resolve, WINDOW_MS))
  }
  return {
    caller,
    events: hearing(publisher, heard),
    stop: async () => void (await Promise.all([caller, responder, publisher, subscriber].map((one) => one.stop()))),
  }
}

/** @returns for each of them the median of its windows */
const compare = async (those: readonly Window[], windows: number): Promise<number[]> => {
  const costs = those.map((): number[] => [])
  for (let turn = -WARM_UP_WINDOWS; turn < windows; turn++) {
    const order = [...those.keys()]
    for (const i of turn % 2 === 0 ? order : order.toReversed()) {
      const before = microseconds()
      const count = (await those[i]?.(WINDOW_MS)) ?? 0
      if (turn >= 0) costs[i]?.push((microseconds() - before) / count)
    }
  }
  return costs.map((one) => spread(one).median)
}

export const roles: Roles = {
  both: async (system, input) => {
    const { others, reversed } = inputSchema.parse(input)
    const open = [
      async () => set(system),
      ...others.map((other) => async () => {
        const { system: older }: { system: System } = await import(other)
        return set(older)
      }),
    ]
    const stages: Stage[] = []
    for (const next of reversed ? open.toReversed() : open) stages.push(await next())
    if (reversed) stages.reverse()
    return {
      hello: null,
      verbs: {
        calls: async (load) => {
          const { bytes, inFlight, windows } = callsSchema.parse(load)
          return compare(
            stages.map(({ caller }) => calls(caller, bytes, inFlight)),
            windows,
          )
        },
        events: async (load) =>
          compare(
            stages.map(({ events }) => events),
            eventsSchema.parse(load).windows,
          ),
      },
      stop: async () => void (await Promise.all(stages.map((one) => one.stop()))),
    }
  },
}
