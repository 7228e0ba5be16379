/**
 * The event stream of the debug endpoint: Server-Sent Events, as the HTML standard, section 9.2, has them.
 *
 * State: up to MAX_CLIENTS open streams, each with its position in the event log. Guarantees: a stream is only written
 * when its client takes it, and never holds more than one chunk; what a slow client misses is sent to it as an event
 * `dropped` with the count; an idle stream sends a comment each `heartbeatMs`, so that both sides notice a dead
 * connection. An event is turned into text when it is first sent, and streams are fed each GATHER_MS, so that a tap of
 * many thousand events per second costs next to nothing while nobody looks and a bounded share of a core otherwise.
 */
import type { Metrics, Stop } from '../../../protocols/port.ts'
import { type DebugEvent, DebugEventSchema } from './debug-schemas.ts'
import { createEventRing, type EventRingReader, type NumberedEvent } from './event-ring.ts'

export const MAX_CLIENTS = 16
export const HEARTBEAT_MS = 15_000
/** Bytes of one event's data, about; more is replaced by what it was and how large. */
export const MAX_EVENT_CHARS = 8192
/** Milliseconds that a client is asked to wait before it connects again. */
const RETRY_MS = 2000
/** Milliseconds that events are gathered before they are sent; the log holds 500, so at most 20,000 per second. */
const GATHER_MS = 25
/** Events in one chunk; a chunk is at most this many times MAX_EVENT_CHARS. */
const CHUNK_EVENTS = 32

export interface EventStreams {
  /** A new stream; undefined when there are MAX_CLIENTS. */
  open(lastEventId: string | undefined): ReadableStream<Uint8Array> | undefined
  /** Ends all streams. */
  close(): void
}

export interface EventStreamsOptions {
  onEvent(fn: (event: DebugEvent) => void): Stop
  metrics: Pick<Metrics, 'counter' | 'gauge'> | undefined
  heartbeatMs: number
  /** Names this run of the node in the ids of events. */
  run: string
}

const frame = (id: string | undefined, name: string, json: string): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${json}\n\n`

/** Name and data of an event, without what is not in its schema. */
const show = (event: DebugEvent): [name: string, json: string] => {
  const known = DebugEventSchema.safeParse(event)
  if (!known.success) return ['unreadable', '{}']
  const { type, at } = known.data
  const json = JSON.stringify(known.data)
  return [
    type,
    json.length <= MAX_EVENT_CHARS ? json : JSON.stringify({ type, at, tooLarge: true, chars: json.length }),
  ]
}

interface Client {
  wake(): void
  end(): void
}

export const createEventStreams = ({ onEvent, metrics, heartbeatMs, run }: EventStreamsOptions): EventStreams => {
  const log = createEventRing(run)
  const clients = new Set<Client>()
  const countLost = metrics?.counter(
    'debug_events_dropped_total',
    'Events that slow readers of the event stream missed',
  )
  metrics?.gauge('debug_event_streams', 'Open event streams of the debug endpoint', () => clients.size)
  const encoder = new TextEncoder()
  /** What an event looks like on the wire, for as long as the log holds it. */
  const frames = new WeakMap<NumberedEvent, string>()
  let gathering: NodeJS.Timeout | undefined

  const stop = onEvent((event) => {
    log.push(event)
    if (clients.size === 0 || gathering !== undefined) return
    gathering = setTimeout(() => {
      gathering = undefined
      for (const client of clients) client.wake()
    }, GATHER_MS).unref()
  })

  const frameOf = (numbered: NumberedEvent): string => {
    const known = frames.get(numbered)
    if (known !== undefined) return known
    const text = frame(log.idOf(numbered.number), ...show(numbered.event))
    frames.set(numbered, text)
    return text
  }

  /** What the client has not seen, as text; empty when there is nothing. */
  const news = (reader: EventRingReader): string => {
    const { lost, events } = reader.read(CHUNK_EVENTS)
    if (lost > 0) countLost?.({}, lost)
    return (lost > 0 ? frame(undefined, 'dropped', JSON.stringify({ count: lost })) : '') + events.map(frameOf).join('')
  }

  const open = (lastEventId: string | undefined): ReadableStream<Uint8Array> | undefined => {
    if (clients.size >= MAX_CLIENTS) return undefined
    const resumed = log.readAfter(lastEventId)
    const reader = resumed ?? log.readAll()
    // An id that is not ours: what was missed cannot be counted. An id alone sets the place from which to resume.
    const gap = resumed === undefined ? frame(undefined, 'dropped', JSON.stringify({ count: null })) : ''
    let text = `retry: ${RETRY_MS}\nid: ${reader.position()}\n\n${gap}`
    let resolve: (() => void) | undefined
    let heartbeat: NodeJS.Timeout | undefined

    const leave = (): void => {
      clearInterval(heartbeat)
      clients.delete(client)
      client.wake()
    }
    const client: Client = {
      wake() {
        resolve?.()
        resolve = undefined
      },
      end: leave,
    }
    return new ReadableStream<Uint8Array>({
      start(controller) {
        clients.add(client)
        heartbeat = setInterval(() => {
          if (resolve !== undefined) text = ': heartbeat\n\n'
          client.wake()
        }, heartbeatMs).unref()
        client.end = () => {
          leave()
          controller.close()
        }
      },
      async pull(controller) {
        text += news(reader)
        while (text === '' && clients.has(client)) {
          await new Promise<void>((done) => {
            resolve = done
          })
          text += news(reader)
        }
        if (clients.has(client)) controller.enqueue(encoder.encode(text))
        text = ''
      },
      cancel: leave,
    })
  }

  return {
    open,
    close() {
      stop()
      clearTimeout(gathering)
      for (const client of [...clients]) client.end()
    },
  }
}
