/**
 * The events of several patterns, as one stream for one reader that may be slow.
 *
 * State: for each pattern a subscription and the event that is fetched next; what was missed and is not reported yet, by
 * publisher, at most MAX_MISSED of them. An event that several patterns match comes once.
 */

import type { StartPosition } from '../../../protocols/events/api.ts'
import type { MeshEvent, Missed } from '../../../protocols/events/event.ts'
import { compilePattern } from '../../../protocols/events/topic.ts'
import type { Mesh } from '../../api.ts'
import type { SubscribeLine } from '../control-schemas.ts'

const MAX_MISSED = 256

type SubscribeMesh = Pick<Mesh, 'events' | 'directory'>
type MissedLine = Extract<SubscribeLine, { type: 'missed' }>

const eventLine = (event: MeshEvent, nameOf: (peer: string) => string): SubscribeLine => ({
  type: 'event',
  id: event.id,
  topic: event.topic,
  data: event.data,
  source: event.source,
  name: nameOf(event.source),
  timestamp: event.timestamp,
  epoch: event.epoch,
  sequence: event.sequence,
  priority: event.priority,
  ...(event.type !== undefined && { eventType: event.type }),
  ...(event.conversationId !== undefined && { conversationId: event.conversationId }),
  ...(event.correlationId !== undefined && { correlationId: event.correlationId }),
  ...(Object.keys(event.headers).length > 0 && { headers: { ...event.headers } }),
})

/** What was missed, summed up until the reader takes it. */
const createLosses = (missed: (count: number) => void, wake: () => void) => {
  const losses = new Map<string, MissedLine>()
  return {
    add({ publisher, word, reason, from, to }: Missed): void {
      const count = to - from + 1
      missed(count)
      // Those that come too late for a line of their own are counted in a common one.
      const isKnown = losses.size < MAX_MISSED || losses.has(`${publisher} ${word} ${reason}`)
      const line = isKnown ? { publisher, word } : { publisher: '', word: '' }
      const key = `${line.publisher} ${line.word} ${reason}`
      losses.set(key, { type: 'missed', ...line, reason, count: count + (losses.get(key)?.count ?? 0) })
      wake()
    },
    take(): MissedLine[] {
      const taken = [...losses.values()]
      losses.clear()
      return taken
    },
  }
}

/**
 * @param missed called with how many events did not come, for the counters
 * @throws MSG001 for a pattern that cannot be used
 */
export async function* runSubscribe(
  mesh: SubscribeMesh,
  { patterns, from }: { patterns: readonly string[]; from: StartPosition },
  { signal, missed }: { signal: AbortSignal; missed: (count: number) => void },
): AsyncGenerator<SubscribeLine, void, undefined> {
  const distinct = [...new Set(patterns)]
  const matchers = distinct.map(compilePattern)
  const nameOf = (peer: string): string => mesh.directory.get(peer)?.name ?? ''
  let wake = (): void => {}
  const losses = createLosses(missed, () => wake())
  const options = { signal, from, onMissed: losses.add }
  const subscriptions = await Promise.all(distinct.map((pattern) => mesh.events.subscribe(pattern, undefined, options)))
  try {
    yield {
      type: 'ready',
      confirmed: Math.min(...subscriptions.map(({ confirmed }) => confirmed)),
      unconfirmed: Math.max(...subscriptions.map(({ unconfirmed }) => unconfirmed.length)),
    }
    const iterators = subscriptions.map((subscription) => subscription[Symbol.asyncIterator]())
    const ready: { readonly at: number; readonly result: IteratorResult<MeshEvent> }[] = []
    let failure: { readonly error: unknown } | undefined
    // Not a race of promises: a quiet pattern's would gather a reaction for each event of a busy one.
    const fetch = (at: number): void => {
      iterators[at]?.next().then(
        (result) => {
          ready.push({ at, result })
          wake()
        },
        (error: unknown) => {
          failure = { error }
          wake()
        },
      )
    }
    for (const at of iterators.keys()) fetch(at)
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      yield* losses.take()
      if (failure !== undefined) throw failure.error
      const next = ready.shift()
      if (next === undefined) {
        await woken
        continue
      }
      if (next.result.done === true) return
      fetch(next.at)
      const event = next.result.value
      // The first pattern that matches it has it.
      if (matchers.findIndex((matches) => matches(event.topic)) === next.at) yield eventLine(event, nameOf)
    }
  } finally {
    for (const subscription of subscriptions) void subscription.stop()
  }
}
