import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NO_CALLS, readCalls } from '../../../../../../../node/observe/dashboard/page/data/call-rows.ts'
import { readMetrics } from '../../../../../../../node/observe/dashboard/page/data/metric-points.ts'

const text = (more: number): string => `# TYPE parley_calls_total counter
parley_calls_total{protocol="shop",method="buy",status="ok"} ${10 + more}
parley_calls_total{protocol="shop",method="buy",status="COM001"} 2
parley_calls_total{protocol="shop",method="buy",status="canceled"} 1
parley_call_seconds_bucket{le="0.1",protocol="shop",method="buy"} 13
parley_call_seconds_sum{protocol="shop",method="buy"} 2
parley_call_seconds_count{protocol="shop",method="buy"} 10
parley_requests_total{protocol="shop",method="buy",status="APP001"} 4
parley_mesh_calls_total{protocol="presence",method="beat",status="ok"} 70
parley_mesh_requests_total{protocol="presence",method="beat",status="ok"} 30
parley_call_retries_total 5
parley_calls_total 7
`

describe('calls of each method', () => {
  it('are summed over their statuses, those of programs apart from the mesh itself', () => {
    const { rows } = readCalls(text(0), 1_000, NO_CALLS)
    assert.deepEqual(rows, [
      {
        protocol: 'presence',
        method: 'beat',
        own: true,
        made: 70,
        madeFailed: 0,
        madeMs: undefined,
        answered: 30,
        answeredFailed: 0,
        answeredMs: undefined,
        perSecond: 0,
      },
      {
        protocol: 'shop',
        method: 'buy',
        own: false,
        made: 13,
        madeFailed: 2,
        madeMs: 200,
        answered: 4,
        answeredFailed: 4,
        answeredMs: undefined,
        perSecond: 0,
      },
    ])
  })

  it('and events of the mesh itself are no traffic of programs', () => {
    const { own, published } = readMetrics(
      `${text(0)}parley_events_published_total{topic="tasks"} 3\nparley_events_published_total{topic="coordination"} 9\n`,
      1_000,
    )
    assert.deepEqual([own, published], [100, 3])
  })

  it('have a rate from the second time on, also of a method that is new, and none below nothing', () => {
    const first = readCalls(text(0), 1_000, NO_CALLS)
    const rates = (more: string, before = first) =>
      readCalls(more, before.atMs + 2_000, before).rows.map(({ perSecond }) => perSecond)
    assert.deepEqual(rates(text(20)), [0, 10])
    assert.deepEqual(rates(`${text(0)}parley_requests_total{protocol="z",method="a",status="ok"} 6\n`), [0, 0, 3])
    assert.deepEqual(rates(text(-9)), [0, 0])
  })
})
