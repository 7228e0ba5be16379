import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import type { DebugEvent } from '../../../../../node/observe/debug/debug-schemas.ts'
import { startDebugServer } from '../../../../../node/observe/debug/debug-server.ts'
import { RING_EVENTS } from '../../../../../node/observe/debug/event-ring.ts'
import { MAX_CLIENTS, MAX_EVENT_CHARS } from '../../../../../node/observe/debug/event-streams.ts'
import { createMetrics } from '../../../../../node/observe/metrics/metrics.ts'
import { ask, createSource, received, until, watch } from './debug-client.ts'

interface Scene {
  url: string
  emit(event: DebugEvent): void
  metrics: ReturnType<typeof createMetrics>
}

const withEndpoint = async (test: (scene: Scene) => Promise<void>, heartbeatMs?: number): Promise<void> => {
  const { source, emit } = createSource()
  const metrics = createMetrics()
  const endpoint = await startDebugServer(source, { metrics, ...(heartbeatMs === undefined ? {} : { heartbeatMs }) })
  try {
    await test({ url: `${endpoint.url}/api/events`, emit, metrics })
  } finally {
    await endpoint.close()
  }
}

const numberOf = (data: string | undefined): number => JSON.parse(data ?? '{}').bytes

describe('the event stream', () => {
  it('tells each kind of event by its name, with an id and its data as JSON', async () => {
    await withEndpoint(async ({ url, emit }) => {
      const peer = { at: 1, id: 'peer-b', name: 'b' }
      const all: DebugEvent[] = [
        { type: 'peer-joined', ...peer, address: '/ip4/127.0.0.1/tcp/1' },
        { type: 'peer-left', ...peer, reason: 'closed' },
        { type: 'agent-joined', ...peer, protocols: ['summarize@1.0.0'] },
        { type: 'agent-changed', ...peer, protocols: [], state: 'suspect' },
        { type: 'agent-left', ...peer, reason: 'expired' },
        { type: 'event-published', at: 2, topic: 'tasks.status.7', bytes: 120 },
        { type: 'event-received', at: 3, topic: 'tasks.status.7', bytes: 120, source: 'peer-b' },
        { type: 'stranger-refused', at: 4, id: 'peer-x', address: '/ip4/10.0.0.1/tcp/1', reason: 'wrong secret' },
      ]
      const stream = await watch(url)
      assert.equal(stream.status, 200)
      assert.equal(stream.headers['content-type'], 'text/event-stream')
      for (const event of all) emit(event)
      const told = await stream.take(all.length)
      assert.deepEqual(
        told.map(({ event, data }) => [event, JSON.parse(data ?? '')]),
        all.map((event) => [event.type, event]),
      )
      assert.equal(new Set(told.map(({ id }) => id)).size, all.length)
      stream.close()
    })
  })

  it('begins with the time to wait before connecting again and the place to resume from', async () => {
    await withEndpoint(async ({ url, emit }) => {
      const first = await watch(url)
      const opening = await first.next()
      first.close()
      assert.equal(opening?.retry, '2000')
      assert.equal(opening?.event, undefined)
      emit(received(1))
      const second = await watch(url, opening?.id)
      const [event] = await second.take(1)
      assert.equal(numberOf(event?.data), 1, 'nothing is lost to a client that had seen no event yet')
      second.close()
    })
  })

  it('tells a new client only what comes from now on', async () => {
    await withEndpoint(async ({ url, emit }) => {
      emit(received(1))
      const stream = await watch(url)
      emit(received(2))
      const [event] = await stream.take(1)
      assert.equal(numberOf(event?.data), 2)
      stream.close()
    })
  })

  it('goes on after the last event that a client has seen', async () => {
    await withEndpoint(async ({ url, emit }) => {
      const first = await watch(url)
      for (let i = 1; i <= 5; i++) emit(received(i))
      const seen = await first.take(3)
      first.close()
      const second = await watch(url, seen.at(-1)?.id)
      emit(received(6))
      assert.deepEqual(
        (await second.take(3)).map(({ data }) => numberOf(data)),
        [4, 5, 6],
      )
      second.close()
    })
  })

  it('resumes without a loss over 500 events, and tells of one that is lost over 501', async () => {
    await withEndpoint(async ({ url, emit, metrics }) => {
      const first = await watch(url)
      emit(received(1))
      const [seen] = await first.take(1)
      first.close()
      for (let i = 2; i <= RING_EVENTS + 1; i++) emit(received(i))
      const whole = await watch(url, seen?.id)
      const events = await whole.take(RING_EVENTS)
      whole.close()
      assert.deepEqual([events[0]?.event, numberOf(events[0]?.data)], ['event-received', 2])
      assert.match(await metrics.exposition(), /^debug_events_dropped_total 0$/m)

      emit(received(RING_EVENTS + 2))
      const short = await watch(url, seen?.id)
      const [dropped, next] = await short.take(2)
      short.close()
      assert.deepEqual([dropped?.event, dropped?.data, dropped?.id], ['dropped', '{"count":1}', undefined])
      assert.equal(numberOf(next?.data), 3)
      assert.match(await metrics.exposition(), /^debug_events_dropped_total 1$/m)
    })
  })

  it('tells all that it has, and that it cannot know what was missed, to a client from another run', async () => {
    await withEndpoint(async ({ url, emit }) => {
      emit(received(1))
      emit(received(2))
      const stream = await watch(url, 'longago-17')
      const [dropped, ...events] = await stream.take(3)
      stream.close()
      assert.deepEqual([dropped?.event, dropped?.data], ['dropped', '{"count":null}'])
      assert.deepEqual(
        events.map(({ data }) => numberOf(data)),
        [1, 2],
      )
    })
  })

  it('sends a comment when nothing happens', async () => {
    await withEndpoint(async ({ url, emit }) => {
      const stream = await watch(url)
      await stream.next()
      assert.deepEqual(await stream.next(), { comment: 'heartbeat' })
      assert.deepEqual(await stream.next(), { comment: 'heartbeat' })
      emit(received(1))
      assert.equal((await stream.take(1)).length, 1)
      stream.close()
    }, 10)
  })

  it('tells a client that does not read how much it missed, and holds nothing for it', {
    timeout: 60_000,
  }, async () => {
    await withEndpoint(async ({ url, emit, metrics }) => {
      const slow = await watch(url)
      await slow.next()
      const fast = await watch(url)
      await fast.next()
      // More than the sockets' buffers can hold, in steps that a client that reads can follow.
      const topic = 'x'.repeat(7000)
      const rounds = 60
      const lost = async (): Promise<number> =>
        Number(/^debug_events_dropped_total (\d+)$/m.exec(await metrics.exposition())?.[1])
      for (let round = 0; round < rounds; round++) {
        for (let i = 1; i <= 100; i++) emit(received(round * 100 + i, topic))
        const told = await fast.take(100)
        assert.equal(numberOf(told.at(-1)?.data), round * 100 + 100)
      }
      assert.equal(await lost(), 0, 'the fast client lost nothing, and nobody knows of the slow one yet')
      let next = 1
      let dropped = 0
      while (next <= rounds * 100) {
        const [message] = await slow.take(1)
        if (message?.event === 'dropped') {
          const { count } = JSON.parse(message.data ?? '')
          dropped += count
          next += count
        } else {
          assert.equal(numberOf(message?.data), next)
          next += 1
        }
      }
      assert.ok(dropped > 0, 'the slow client lost some')
      assert.equal(await lost(), dropped)
      slow.close()
      fast.close()
    })
  })

  it('replaces what is too large for an event, and what is no event, by a note', async () => {
    await withEndpoint(async ({ url, emit }) => {
      const stream = await watch(url)
      const overhead = JSON.stringify(received(1, '')).length
      emit(received(1, 'x'.repeat(MAX_EVENT_CHARS - overhead)))
      emit(received(2, 'x'.repeat(MAX_EVENT_CHARS - overhead + 1)))
      emit({ ...received(3), at: Number.NaN })
      const [fits, tooLarge, unreadable] = await stream.take(3)
      stream.close()
      assert.equal(fits?.data?.length, MAX_EVENT_CHARS)
      assert.equal(tooLarge?.event, 'event-received')
      assert.deepEqual(JSON.parse(tooLarge?.data ?? ''), {
        type: 'event-received',
        at: 1_700_000_000_002,
        tooLarge: true,
        chars: MAX_EVENT_CHARS + 1,
      })
      assert.deepEqual([unreadable?.event, unreadable?.data], ['unreadable', '{}'])
    })
  })

  it('serves sixteen clients, refuses the next with 503, and serves it when one has gone', async () => {
    await withEndpoint(async ({ url, emit, metrics }) => {
      const streams = await Promise.all(Array.from({ length: MAX_CLIENTS }, () => watch(url)))
      assert.ok(streams.every(({ status }) => status === 200))
      assert.equal((await ask(url, { method: 'HEAD' })).status, 200, 'HEAD takes no place')
      const refused = await ask(url)
      assert.equal(refused.status, 503)
      assert.equal(refused.headers['content-type'], 'application/problem+json')
      assert.equal(refused.headers['retry-after'], '5')
      const text = await metrics.exposition()
      assert.match(text, /^debug_event_streams 16$/m)
      assert.match(text, /^debug_refused_total\{reason="streams"\} 1$/m)
      emit(received(1))
      for (const stream of streams) assert.equal(numberOf((await stream.take(1))[0]?.data), 1)
      streams[0]?.close()
      await until(async () => /^debug_event_streams 15$/m.test(await metrics.exposition()), 'the place is free again')
      const late = await watch(url)
      assert.equal(late.status, 200)
      for (const stream of [...streams, late]) stream.close()
      await until(async () => /^debug_event_streams 0$/m.test(await metrics.exposition()), 'all places are free')
    })
  })

  it('frees the place of a client whose connection breaks', async () => {
    await withEndpoint(async ({ url, metrics }) => {
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname)
      socket.write(`GET /api/events HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`)
      await until(async () => /^debug_event_streams 1$/m.test(await metrics.exposition()), 'the stream is open')
      socket.resetAndDestroy()
      await until(async () => /^debug_event_streams 0$/m.test(await metrics.exposition()), 'the stream is gone')
    })
  })
})
