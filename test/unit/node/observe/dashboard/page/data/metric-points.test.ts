import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  append,
  pointOf,
  quantile,
  readMetrics,
} from '../../../../../../../node/observe/dashboard/page/data/metric-points.ts'
import { createCallMetrics } from '../../../../../../../node/observe/metrics/call-metrics.ts'
import { createMetrics, PREFIX } from '../../../../../../../node/observe/metrics/metrics.ts'

const text = (calls: number, slow: number): string => `# HELP parley_call_seconds x
# TYPE parley_call_seconds histogram
parley_call_seconds_bucket{le="0.01",protocol="shop",method="buy"} ${calls - slow}
parley_call_seconds_bucket{le="0.1",protocol="shop",method="buy"} ${calls}
parley_call_seconds_bucket{le="+Inf",protocol="shop",method="buy"} ${calls}
parley_call_seconds_count{protocol="shop",method="buy"} ${calls}
parley_mesh_calls_total{protocol="presence",method="probe",status="ok"} ${9 * calls}
message_latency_seconds_count{operation="call",type="HEARTBEAT"} ${9 * calls}
parley_request_seconds_count{protocol="shop",method="buy"} ${2 * calls}
parley_request_seconds_bucket{le="0.01",protocol="shop",method="buy"} 7
parley_events_published_total{topic="tasks"} ${calls}
parley_events_published_total{topic="weather"} ${calls}
parley_events_received_total{topic="tasks"} NaN
process_resident_memory_bytes 1048576
process_cpu_user_seconds_total ${calls / 100}
nodejs_eventloop_lag_seconds{quantile="0.5"} 9
nodejs_eventloop_lag_seconds{quantile="0.99"} 0.02
`

describe('figures over time', () => {
  it("are rates between two scrapes without the mesh's own calls, sums over labels, and levels", () => {
    const before = readMetrics(text(100, 0), 1_000)
    const after = readMetrics(text(300, 2), 3_000)
    const point = pointOf(before, after)
    assert.ok(point !== undefined)
    assert.deepEqual(
      [point.calls, point.answers, point.published, point.received, point.memory, point.cpu, point.lagMs],
      [100, 200, 200, 0, 1_048_576, 1, 20],
    )
    assert.ok(point.p50Ms !== undefined && point.p50Ms < 10)
    assert.ok(point.p99Ms !== undefined && point.p99Ms <= 10)
  })

  it('are not made over a restart of the node, nor of two scrapes at once', () => {
    assert.equal(pointOf(readMetrics(text(300, 0), 0), readMetrics(text(10, 0), 2_000)), undefined)
    assert.equal(pointOf(readMetrics(text(1, 0), 5), readMetrics(text(2, 0), 5)), undefined)
  })

  it('have no latency where nothing was called', () => {
    const point = pointOf(readMetrics(text(10, 0), 0), readMetrics(text(10, 0), 2_000))
    assert.ok(point !== undefined)
    assert.equal(point.p99Ms, undefined)
  })

  it('are read from what a node really writes', async () => {
    const metrics = createMetrics(PREFIX)
    const calls = createCallMetrics(metrics, {
      self: 'a',
      peers: { all: () => [], get: () => undefined },
      isOwn: (protocolId) => protocolId === '/parley/presence/1',
      pairs: false,
    })
    const method = (protocol: string, name: string) => ({
      protocol,
      protocolId: `/parley/${protocol}/1`,
      codec: { name, label: `${protocol}.${name}` },
    })
    const before = readMetrics(await metrics.exposition(), 0)
    for (let index = 0; index < 100; index += 1) {
      calls.called(method('shop', 'buy'), 'ok', index < 98 ? 0.002 : 0.4, 'b')
      calls.called(method('presence', 'probe'), 'ok', 0.1, 'b')
    }
    const point = pointOf(before, readMetrics(await metrics.exposition(), 1_000))
    assert.ok(point !== undefined)
    assert.equal(point.calls, 100)
    assert.ok((point.p50Ms ?? 0) > 1 && (point.p50Ms ?? 99) <= 2.5)
    assert.ok((point.p99Ms ?? 0) > 250 && (point.p99Ms ?? 999) <= 500)
  })

  it('quantiles lie within the bucket that holds their rank', () => {
    const bounds = [1, 2, 4, 8, Number.POSITIVE_INFINITY]
    fc.assert(
      fc.property(
        fc.array(fc.nat(50), { minLength: 5, maxLength: 5 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (counts, share) => {
          const after = new Map(
            bounds.map((bound, at) => [bound, counts.slice(0, at + 1).reduce((sum, one) => sum + one, 0)]),
          )
          const sum = after.get(Number.POSITIVE_INFINITY) ?? 0
          const found = quantile(share, new Map(), after)
          if (sum === 0) return assert.equal(found, undefined)
          const at = bounds.findIndex((bound) => (after.get(bound) ?? 0) >= share * sum)
          const upper = bounds[Math.min(at, 3)] ?? 8
          const lower = at === 4 ? 8 : (bounds[at - 1] ?? 0)
          assert.ok(found !== undefined && found >= lower * 1_000 - 1e-6 && found <= upper * 1_000 + 1e-6)
        },
      ),
    )
  })

  it('are bounded, oldest first to go', () => {
    assert.deepEqual(append([1, 2, 3], 4, 3), [2, 3, 4])
    assert.deepEqual(append([1, 2], 3, 3), [1, 2, 3])
  })
})
