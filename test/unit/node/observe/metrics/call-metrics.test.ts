import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCallMetrics, MAX_METERS } from '../../../../../node/observe/metrics/call-metrics.ts'
import { MAX_LABEL_VALUES } from '../../../../../node/observe/metrics/metric-series.ts'
import { createMetrics, PREFIX } from '../../../../../node/observe/metrics/metrics.ts'

const setUp = ({ pairs = false } = {}) => {
  const metrics = createMetrics(PREFIX)
  const calls = createCallMetrics(metrics, {
    self: 'boss',
    peers: {
      all: () => [{ name: 'ann', connections: [1, 2] }],
      get: (peer) => (peer === 'p1' ? { name: 'ann' } : undefined),
    },
    isOwn: (protocolId) => protocolId.startsWith('/parley/presence/'),
    pairs,
  })
  const lines = async (): Promise<string[]> => (await metrics.exposition()).split('\n')
  return { calls, lines }
}

const method = (protocol: string, name: string) => ({
  protocol,
  protocolId: `/parley/${protocol}/1`,
  codec: { name, label: `${protocol}.${name}` },
})

const figureOf = (lines: readonly string[], series: string): number =>
  Number(
    lines
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')
      .at(-1),
  )

describe('calls and requests', () => {
  it("are counted by protocol, method and status, a user's apart from the mesh's own", async () => {
    const { calls, lines } = setUp()
    calls.called(method('shop', 'buy'), 'ok', 0.002, 'p1')
    calls.called(method('shop', 'buy'), 'COM001', 1, 'p1')
    calls.called(method('presence', 'probe'), 'ok', 0.001, 'p1')
    calls.handled('shop', false)('buy', 'ok', 0.003)
    calls.handled('presence', true)('probe', 'ok', 0.001)
    const all = await lines()
    for (const line of [
      'parley_calls_total{protocol="shop",method="buy",status="ok"} 1',
      'parley_calls_total{protocol="shop",method="buy",status="COM001"} 1',
      'parley_mesh_calls_total{protocol="presence",method="probe",status="ok"} 1',
      'parley_requests_total{protocol="shop",method="buy",status="ok"} 1',
      'parley_mesh_requests_total{protocol="presence",method="probe",status="ok"} 1',
      'parley_call_seconds_count{protocol="shop",method="buy"} 2',
      'parley_request_seconds_sum{protocol="shop",method="buy"} 0.003',
    ])
      assert.ok(all.includes(line), line)
    assert.ok(!all.some((line) => /^parley_(calls|requests|call_seconds|request_seconds)\w*\{.*presence/.test(line)))
  })

  it('are all in the metrics of the seeds, under exactly their names and labels, by the type of the message', async () => {
    const { calls, lines } = setUp()
    calls.called(method('shop', 'buy'), 'ok', 0.25, 'p1')
    calls.called(method('command-stop', 'run'), 'ok', 0.25, 'p1')
    calls.called(method('presence', 'probe'), 'ok', 0.25, 'p1')
    calls.handled('shop', false)('buy', 'APP001', 0.5)
    const all = await lines()
    for (const line of [
      'messages_total{direction="outbound",type="REQUEST",status="ok"} 1',
      'messages_total{direction="outbound",type="COMMAND",status="ok"} 1',
      'messages_total{direction="outbound",type="HEARTBEAT",status="ok"} 1',
      'messages_total{direction="inbound",type="REQUEST",status="APP001"} 1',
      'message_latency_seconds_sum{operation="call",type="COMMAND"} 0.25',
      'message_latency_seconds_sum{operation="handle",type="REQUEST"} 0.5',
      'active_connections{destination="ann"} 2',
    ])
      assert.ok(all.includes(line), line)
    assert.ok(!all.some((line) => /^parley_(messages_total|message_latency|active_connections)/.test(line)))
  })

  it('are told by pair of agents where that is switched on, without the calls of the mesh', async () => {
    const off = setUp()
    off.calls.called(method('shop', 'buy'), 'ok', 0.5, 'p1')
    assert.ok(!(await off.lines()).some((line) => /^message_latency[ {_](?!seconds)/.test(line)))
    const { calls, lines } = setUp({ pairs: true })
    calls.called(method('shop', 'buy'), 'ok', 0.5, 'p1')
    calls.called(method('shop', 'buy'), 'COM002', 0.25, 'gone')
    calls.called(method('presence', 'probe'), 'ok', 9, 'p1')
    const all = await lines()
    assert.equal(figureOf(all, 'message_latency_sum{source="boss",destination="ann"}'), 0.5)
    assert.equal(figureOf(all, 'message_latency_sum{source="boss",destination="other"}'), 0.25)
  })

  it('have 50 methods and one more for the rest, which no method of the mesh takes part in', async () => {
    const { calls, lines } = setUp()
    for (let i = 0; i < 60; i += 1) calls.handled('presence', true)(`own${i}`, 'ok', 0)
    for (let i = 0; i < MAX_LABEL_VALUES; i += 1) calls.handled('shop', false)(`m${i}`, 'ok', 0)
    const before = await lines()
    assert.equal(
      figureOf(before, `parley_requests_total{protocol="shop",method="m${MAX_LABEL_VALUES - 1}",status="ok"}`),
      1,
    )
    assert.ok(!before.some((line) => line.startsWith('parley_requests_total{protocol="shop",method="other"')))
    calls.handled('shop', false)('one-more', 'ok', 0)
    assert.equal(figureOf(await lines(), 'parley_requests_total{protocol="shop",method="other",status="ok"}'), 1)
  })

  it('count as other where the method was never known, as nobody has it', async () => {
    const { calls, lines } = setUp()
    calls.handled('shop', false)(undefined, 'MSG004', 0)
    assert.equal(figureOf(await lines(), 'parley_requests_total{protocol="shop",method="other",status="MSG004"}'), 1)
  })

  it('keep a bounded number of meters, however many contracts a program calls by', async () => {
    const { calls, lines } = setUp()
    for (let i = 0; i <= MAX_METERS; i += 1) calls.called(method(`p${i}`, 'm'), 'ok', 0, 'p1')
    const all = (await lines()).filter((line) => line.startsWith('parley_calls_total{'))
    assert.equal(all.length, MAX_LABEL_VALUES + 2, 'the fifty first, other with m, and other with other')
    assert.equal(figureOf(all, 'parley_calls_total{protocol="other",method="other",status="ok"}'), 1)
  })
})
