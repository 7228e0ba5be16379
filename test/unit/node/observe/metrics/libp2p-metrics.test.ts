import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { noise } from '@chainsafe/libp2p-noise'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { libp2pMetrics } from '../../../../../node/observe/metrics/libp2p-metrics.ts'
import { createMetrics } from '../../../../../node/observe/metrics/metrics.ts'

const figure = async (metrics: { exposition(): Promise<string> }, series: string): Promise<number | undefined> => {
  const line = (await metrics.exposition()).split('\n').find((l) => l.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

const start = async () => {
  const metrics = createMetrics()
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { ping: ping(), identify: identify() },
    metrics: libp2pMetrics(metrics),
  })
  return { node, metrics }
}

describe('metrics of libp2p', () => {
  it('are each node its own, though both run in one process', { timeout: 20_000 }, async () => {
    const a = await start()
    const b = await start()
    try {
      const [address] = b.node.getMultiaddrs()
      assert.ok(address)
      await a.node.services.ping.ping(address)
      assert.equal(
        await figure(
          a.metrics,
          'libp2p_connection_manager_connections{libp2p_connection_manager_connections="outbound"}',
        ),
        1,
      )
      assert.equal(
        await figure(
          a.metrics,
          'libp2p_connection_manager_connections{libp2p_connection_manager_connections="inbound"}',
        ),
        0,
      )
      assert.equal(
        await figure(
          b.metrics,
          'libp2p_connection_manager_connections{libp2p_connection_manager_connections="inbound"}',
        ),
        1,
      )
      const ofPing = 'libp2p_data_transfer_bytes_total{protocol="/ipfs/ping/1.0.0'
      assert.equal(await figure(a.metrics, `${ofPing} sent"}`), 32)
      assert.equal(await figure(a.metrics, `${ofPing} received"}`), 32)
      assert.equal(await figure(b.metrics, `${ofPing} received"}`), 32)
      const all = await figure(a.metrics, 'libp2p_data_transfer_bytes_total{protocol="global sent"}')
      assert.ok(all !== undefined && all > 32, 'the connection carries more than the ping')
      assert.equal(await figure(a.metrics, 'metrics_overflow_total'), undefined)
    } finally {
      await Promise.all([a.node.stop(), b.node.stop()])
    }
  })

  it('add up a gauge that several parts calculate, and keep what is set beside it', async () => {
    const metrics = createMetrics()
    const libp2p = libp2pMetrics(metrics)()
    const options = { label: 'address' }
    libp2p.registerMetricGroup('listeners', { ...options, calculate: () => ({ 'a:1': 2 }) })
    libp2p.registerMetricGroup('listeners', { ...options, calculate: async () => ({ 'a:1': 1, 'b:2': 4 }) })
    const group = libp2p.registerMetricGroup('listeners', options)
    group.update({ 'c:3': 5 })
    group.increment({ 'c:3': true })
    group.decrement({ 'c:3': 2 })
    assert.equal(await figure(metrics, 'listeners{address="a:1"}'), 3)
    assert.equal(await figure(metrics, 'listeners{address="b:2"}'), 4)
    assert.equal(await figure(metrics, 'listeners{address="c:3"}'), 4)
    group.reset()
    assert.equal(await figure(metrics, 'listeners{address="c:3"}'), undefined)
  })

  it('turn counters, gauges, histograms and summaries into ours', async () => {
    const metrics = createMetrics()
    const libp2p = libp2pMetrics(metrics)()
    const gauge = libp2p.registerMetric('a:gauge')
    gauge.update(5)
    gauge.increment()
    gauge.decrement(2)
    libp2p.registerMetric('b', { calculate: () => 7 })
    libp2p.registerCounter('c_total').increment(3)
    libp2p.registerCounter('d_total', { calculate: async () => 8 })
    libp2p.registerCounterGroup('e_total', { label: 'kind' }).increment({ x: true, y: 2 })
    libp2p.registerHistogram('f_seconds', { buckets: [1] }).observe(0.5)
    libp2p.registerHistogramGroup('g_seconds', { label: 'kind' }).observe({ x: 2 })
    libp2p.registerSummary('h_seconds').timer()()
    libp2p.registerSummaryGroup('i_seconds', { label: 'kind' }).timer('x')()
    const found = await Promise.all(
      [
        'a_gauge',
        'b',
        'c_total',
        'd_total',
        'e_total{kind="x"}',
        'e_total{kind="y"}',
        'f_seconds_bucket{le="1"}',
        'g_seconds_sum{kind="x"}',
        'h_seconds_count',
        'i_seconds_count{kind="x"}',
      ].map((series) => figure(metrics, series)),
    )
    assert.deepEqual(found, [4, 7, 3, 8, 1, 2, 1, 2, 1, 1])
  })

  it('give the same counter to everyone who asks for its name', async () => {
    const metrics = createMetrics()
    const libp2p = libp2pMetrics(metrics)()
    libp2p.registerCounter('c_total').increment()
    libp2p.registerCounter('c_total').increment()
    assert.equal(await figure(metrics, 'c_total'), 2)
  })

  it('keep 51 values of a gauge at most, the last of which stands for the rest', async () => {
    const metrics = createMetrics()
    const group = libp2pMetrics(metrics)().registerMetricGroup('queues', { label: 'queue' })
    for (let i = 0; i < 60; i++) group.update({ [`q${i}`]: 1 })
    const lines = (await metrics.exposition()).split('\n')
    assert.equal(lines.filter((line) => line.startsWith('queues{')).length, 51)
    assert.ok(lines.includes('queues{queue="other"} 1'))
    assert.equal(
      await figure(metrics, 'metrics_overflow_total{metric="queues",why="value"}'),
      1,
      'counted by the scrape before',
    )
  })
})
