/**
 * Suite bulk: one stream of 1 MiB chunks from one process to another, every chunk checked, none missing.
 *
 * The rate is all bytes over the time from asking for the stream to its end, so what was only buffered counts as not
 * yet sent. The ceiling is one plain libp2p stream: the same transport, encryption and multiplexing, and nothing above.
 * Floors: design document, section 8.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { judge, ratio } from '../floors.ts'
import type { Suite } from '../suite.ts'
import { BULK_CHUNK_BYTES } from '../system.ts'
import { fetchedSchema } from './bulk-roles.ts'

const START_LIMIT_MS = 60_000
const WARM_UP_MS = 700
const DURATION_MS = 2_000
/** What is on its way when the sender ends may take a slow system a while. */
const FETCH_LIMIT_MS = 20_000
/** A stream that stands still for longer has stalled, whatever its rate is in the end. */
const LONGEST_PAUSE_MS = 1_000

export const CEILING = 'libp2p-stream'
export const STREAM = 'one stream, 1 MiB chunks'

export const bulk: Suite = {
  name: 'bulk',
  about: 'a stream of 1 MiB chunks from one process to another: MB/s, every chunk checked',
  systems: [SUBJECT, CEILING, 'nats', 'moleculer', 'rabbitmq', 'raw-tcp'],

  measure: async (start, pause) => {
    const sender = start('sender')
    const receiver = start('receiver')
    const address = await sender.ask('start', null, z.string(), START_LIMIT_MS)
    await receiver.ask('start', address, z.null(), START_LIMIT_MS)

    const stream = async (durationMs: number) => {
      await sender.ask('plan', { durationMs }, z.null(), START_LIMIT_MS)
      const fetched = await receiver.ask('fetch', null, fetchedSchema, durationMs + FETCH_LIMIT_MS)
      const sentBytes = (await sender.ask('sent', null, z.int(), START_LIMIT_MS)) * BULK_CHUNK_BYTES
      if (fetched.bytes !== sentBytes) throw new Error(`${fetched.bytes} bytes of ${sentBytes} arrived`)
      if (fetched.longestPauseMs > LONGEST_PAUSE_MS) {
        throw new Error(`the stream stood still for ${Math.round(fetched.longestPauseMs)} ms`)
      }
      return fetched
    }
    await stream(WARM_UP_MS)
    await pause()
    const { bytes, durationMs, longestPauseMs } = await stream(DURATION_MS)
    return [
      { case: STREAM, metric: 'bytes', unit: 'MB/s', value: bytes / 1e3 / durationMs },
      { case: STREAM, metric: 'longest pause', unit: 'ms', value: longestPauseMs },
    ]
  },

  floors: (ledger) => {
    const rate = (system: string) => ledger.values(system, STREAM, 'bytes')
    return [
      judge({
        name: 'MB/s, one stream of 1 MiB chunks, over one plain libp2p stream (at least)',
        bound: 'least',
        byRound: ratio(rate(SUBJECT), rate(CEILING)),
        floor: 0.5,
        aim: 0.9,
      }),
    ]
  },
}
