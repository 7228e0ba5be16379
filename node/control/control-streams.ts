/** The open streams of the control socket. State: at most MAX_STREAMS feeds. */
import { ParleyError } from '../../protocols/errors.ts'
import type { Metrics } from '../../protocols/port.ts'
import { createNdjsonFeed, type NdjsonFeed } from './ndjson.ts'

export const MAX_STREAMS = 64

export interface ControlStreams {
  /** @returns undefined where there are MAX_STREAMS */
  open(run: (signal: AbortSignal) => AsyncIterable<unknown>): ReadableStream<Uint8Array> | undefined
  /** Ends all of them, and says that the node is stopping. */
  close(): void
}

export const createControlStreams = (metrics: Pick<Metrics, 'gauge'>, beatMs?: number): ControlStreams => {
  const feeds = new Set<NdjsonFeed>()
  let isClosed = false
  metrics.gauge('control_streams', 'Open streams of the control socket', () => feeds.size)

  return {
    open(run) {
      if (isClosed || feeds.size >= MAX_STREAMS) return undefined
      const feed = createNdjsonFeed(run, () => feeds.delete(feed), beatMs)
      feeds.add(feed)
      return feed.stream
    },
    close() {
      isClosed = true
      const error = new ParleyError('COM002', 'the node is stopping', { hint: 'start it again, or ask another one' })
      for (const feed of [...feeds]) feed.end(error)
    },
  }
}
