import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { createMessageMetrics, followMessages } from '../../../../../node/observe/metrics/message-metrics.ts'
import { createMetrics } from '../../../../../node/observe/metrics/metrics.ts'
import { startProcessMetrics } from '../../../../../node/observe/metrics/process-metrics.ts'

const samples = async (metrics: { exposition(): Promise<string> }): Promise<string[]> =>
  (await metrics.exposition()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))

describe('the metrics that the catalogue names', () => {
  it('have exactly its names and labels', async () => {
    const metrics = createMetrics()
    const mesh = createMessageMetrics(metrics, { connections: () => [['worker-1', 1]], pairLatency: true })
    mesh.messages('outbound', 'REQUEST', 'sent')()
    mesh.latency('call', 'RESPONSE')(0.25)
    mesh.pairLatency('boss', 'worker-1', 0.5)
    const all = await samples(metrics)
    assert.ok(all.includes('messages_total{direction="outbound",type="REQUEST",status="sent"} 1'))
    assert.ok(all.includes('message_latency_seconds_sum{operation="call",type="RESPONSE"} 0.25'))
    assert.ok(all.includes('message_latency_sum{source="boss",destination="worker-1"} 0.5'))
    assert.ok(all.includes('active_connections{destination="worker-1"} 1'))
  })

  it('read what others count at each scrape, beside what is counted here', async () => {
    const metrics = createMetrics()
    const none = { events: 0, notifications: 0, batches: 0, failed: 0 }
    const traffic = { in: { ...none, events: 7, failed: 1 }, out: { ...none, notifications: 2, batches: 5 } }
    const links = { answersIn: 3, answersOut: 4, faultsIn: 0, faultsOut: 1 }
    createMessageMetrics(metrics, { connections: () => [] }).messages('outbound', 'REQUEST', 'ok')(9)
    followMessages(metrics, () => ({ links, traffic }))
    const shown = async () => (await samples(metrics)).filter((line) => line.startsWith('messages_total{'))
    const first = await shown()
    for (const [direction, type, status, value] of [
      ['outbound', 'REQUEST', 'ok', 9],
      ['inbound', 'RESPONSE', 'ok', 3],
      ['outbound', 'RESPONSE', 'error', 1],
      ['inbound', 'EVENT', 'ok', 7],
      ['outbound', 'NOTIFICATION', 'ok', 2],
      ['outbound', 'BATCH', 'ok', 5],
      ['inbound', 'BATCH', 'error', 1],
    ])
      assert.ok(first.includes(`messages_total{direction="${direction}",type="${type}",status="${status}"} ${value}`))
    links.answersIn += 10
    assert.ok((await shown()).includes('messages_total{direction="inbound",type="RESPONSE",status="ok"} 13'))
  })

  it('leave the latency between pairs of agents out unless it is switched on', async () => {
    const metrics = createMetrics()
    const mesh = createMessageMetrics(metrics, { connections: () => [] })
    mesh.pairLatency('boss', 'worker-1', 0.5)
    const text = await metrics.exposition()
    assert.doesNotMatch(text, /message_latency[ {_](?!seconds)/)
  })

  it('add up the connections to agents of one name, and forget those that went', async () => {
    const metrics = createMetrics()
    let open: [string, number][] = [
      ['worker', 1],
      ['worker', 1],
      ['boss', 1],
    ]
    createMessageMetrics(metrics, { connections: () => open })
    const shown = async () => (await samples(metrics)).filter((line) => line.startsWith('active_connections'))
    assert.deepEqual(await shown(), [
      'active_connections{destination="worker"} 2',
      'active_connections{destination="boss"} 1',
    ])
    open = []
    assert.deepEqual(await shown(), [])
  })
})

describe('the metrics of the process', () => {
  it('tell memory, CPU time and the time of the event loop', async () => {
    const metrics = createMetrics()
    const stop = startProcessMetrics(metrics)
    // The loop's own clock starts with its first turn.
    await setImmediate()
    const figures = new Map((await samples(metrics)).map((line) => [line.split(' ')[0], Number(line.split(' ')[1])]))
    stop()
    const rss = figures.get('process_resident_memory_bytes') ?? 0
    assert.ok(rss > 10e6 && rss < 10e9, `${rss}`)
    assert.ok((figures.get('nodejs_heap_size_used_bytes') ?? 0) <= (figures.get('nodejs_heap_size_total_bytes') ?? 0))
    assert.ok((figures.get('process_cpu_user_seconds_total') ?? 0) > 0)
    assert.ok((figures.get('nodejs_eventloop_active_seconds_total') ?? 0) > 0)
    const started = figures.get('process_start_time_seconds') ?? 0
    assert.ok(started <= Date.now() / 1000 && started > Date.now() / 1000 - 3600)
  })

  it('see that the event loop was held up', { timeout: 20_000 }, async () => {
    const metrics = createMetrics()
    const stop = startProcessMetrics(metrics)
    const longest = async (): Promise<number> => {
      const line = (await samples(metrics)).find((l) => l.startsWith('nodejs_eventloop_lag_seconds{quantile="1"}'))
      return Number(line?.split(' ')[1])
    }
    assert.equal(await longest(), 0)
    let seen = 0
    const deadline = performance.now() + 10_000
    while (seen < 0.1 && performance.now() < deadline) {
      // Two ticks of the monitor before and after, since it measures from tick to tick.
      await setTimeout(50)
      const until = performance.now() + 150
      while (performance.now() < until);
      await setTimeout(50)
      seen = await longest()
    }
    stop()
    assert.ok(seen >= 0.1, `${seen} seconds`)
    assert.deepEqual(
      (await samples(metrics)).filter((line) => line.startsWith('nodejs_eventloop_lag')),
      [],
      'nothing is measured after stop',
    )
  })
})
