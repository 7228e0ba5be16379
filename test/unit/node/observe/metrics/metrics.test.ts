import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { MAX_LABEL_VALUES, MAX_SERIES, MAX_VALUE_CHARS } from '../../../../../node/observe/metrics/metric-series.ts'
import { createMetrics } from '../../../../../node/observe/metrics/metrics.ts'

/** The lines of one metric without its comments. */
const lines = async (metrics: { exposition(): Promise<string> }, name: string): Promise<string[]> =>
  (await metrics.exposition()).split('\n').filter((line) => line.startsWith(name))

describe('metrics', () => {
  it('writes a counter as Prometheus wants it', async () => {
    const metrics = createMetrics()
    const count = metrics.counter('frames_total', 'Frames', ['direction'])
    count({ direction: 'out' })
    count({ direction: 'out' }, 4)
    count({ direction: 'in' }, 0.5)
    const text = await metrics.exposition()
    assert.match(text, /^# HELP frames_total Frames\n# TYPE frames_total counter\n/m)
    assert.deepEqual(await lines(metrics, 'frames_total'), [
      'frames_total{direction="out"} 5',
      'frames_total{direction="in"} 0.5',
    ])
    assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
  })

  it('shows a metric without labels before it was ever counted', async () => {
    const metrics = createMetrics()
    metrics.counter('late_total', 'Late')
    metrics.histogram('wait_seconds', 'Wait', [], [1])
    assert.deepEqual(await lines(metrics, 'late_total'), ['late_total 0'])
    assert.deepEqual(await lines(metrics, 'wait_seconds_count'), ['wait_seconds_count 0'])
  })

  it('writes a histogram with cumulative buckets, sum and count', async () => {
    const metrics = createMetrics()
    const observe = metrics.histogram('took_seconds', 'Took', ['kind'], [0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 7]) observe(value, { kind: 'call' })
    assert.deepEqual(await lines(metrics, 'took_seconds'), [
      'took_seconds_bucket{le="0.1",kind="call"} 2',
      'took_seconds_bucket{le="1",kind="call"} 3',
      'took_seconds_bucket{le="+Inf",kind="call"} 4',
      'took_seconds_sum{kind="call"} 7.65',
      'took_seconds_count{kind="call"} 4',
    ])
    assert.match(await metrics.exposition(), /^# TYPE took_seconds histogram$/m)
  })

  it('puts any values into the same buckets as counting them one by one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.double({ min: 0, max: 40, noNaN: true }), { maxLength: 50 }), async (values) => {
        const metrics = createMetrics()
        const observe = metrics.histogram('x_seconds', 'X').with({})
        for (const value of values) observe(value)
        const buckets = await lines(metrics, 'x_seconds_bucket')
        for (const line of buckets) {
          const [, le, found] = /le="(.+)"} (\d+)/.exec(line) ?? []
          const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)
          assert.equal(Number(found), values.filter((value) => value <= bound).length, line)
        }
        assert.equal(buckets.length, 16)
      }),
      { numRuns: 50 },
    )
  })

  it('counts through a bound child into the same series', async () => {
    const metrics = createMetrics()
    const count = metrics.counter('m_total', 'M', ['type'])
    const events = count.with({ type: 'EVENT' })
    events()
    events(2)
    count({ type: 'EVENT' })
    assert.deepEqual(await lines(metrics, 'm_total'), ['m_total{type="EVENT"} 4'])
  })

  it('gives the same metric when a name is asked for twice', async () => {
    const metrics = createMetrics()
    const first = metrics.counter('a_total', 'A', ['x'])
    assert.equal(metrics.counter('a_total', 'A', ['x']), first)
    assert.equal(metrics.histogram('b_seconds', 'B'), metrics.histogram('b_seconds', 'B'))
  })

  it('refuses a name that is in use with other labels, buckets or as another kind', () => {
    const metrics = createMetrics()
    metrics.counter('a_total', 'A', ['x'])
    metrics.histogram('b_seconds', 'B', [], [1, 2])
    for (const again of [
      () => metrics.counter('a_total', 'A', ['y']),
      () => metrics.counter('a_total', 'A'),
      () => metrics.histogram('a_total', 'A', ['x']),
      () => metrics.histogram('b_seconds', 'B', [], [1, 3]),
      () => metrics.gauge('a_total', 'A', () => 1),
    ]) {
      assert.throws(again, { code: 'STA003' })
    }
  })

  it('refuses names that Prometheus does not know', () => {
    const metrics = createMetrics()
    assert.throws(() => metrics.counter('a-b', 'A'), { code: 'MSG001', message: /a-b/ })
    assert.throws(() => metrics.counter('a_total', 'A', ['x-y']), { code: 'MSG001' })
  })

  it('refuses labels that are missing or not declared', () => {
    const count = createMetrics().counter('a_total', 'A', ['x'])
    assert.throws(() => count(), { code: 'MSG001' })
    assert.throws(() => count({}), { code: 'MSG001' })
    assert.throws(() => count({ x: '1', y: '2' }), { code: 'MSG001', message: /a_total/ })
    assert.throws(() => count.with({ y: '2' }), { code: 'MSG001' })
  })

  it('keeps 50 values of a label, counts the 51st under other and says so', async () => {
    const metrics = createMetrics()
    const count = metrics.counter('a_total', 'A', ['peer'])
    for (let i = 0; i < MAX_LABEL_VALUES; i++) count({ peer: `p${i}` })
    assert.equal((await lines(metrics, 'a_total')).length, MAX_LABEL_VALUES)
    assert.deepEqual(await lines(metrics, 'metrics_overflow_total'), [])
    count({ peer: 'p50' })
    count({ peer: 'p51' })
    count({ peer: 'p0' })
    const now = await lines(metrics, 'a_total')
    assert.equal(now.length, MAX_LABEL_VALUES + 1)
    assert.ok(now.includes('a_total{peer="other"} 2'))
    assert.ok(now.includes('a_total{peer="p0"} 2'))
    assert.deepEqual(await lines(metrics, 'metrics_overflow_total'), [
      'metrics_overflow_total{metric="a_total",why="value"} 2',
    ])
  })

  it('does not count the value other itself as an overflow', async () => {
    const metrics = createMetrics()
    metrics.counter('a_total', 'A', ['peer'])({ peer: 'other' })
    assert.deepEqual(await lines(metrics, 'metrics_overflow_total'), [])
  })

  it('keeps 1,000 series of a metric, the last of which takes the rest', async () => {
    const metrics = createMetrics()
    const count = metrics.counter('a_total', 'A', ['x', 'y'])
    const pairs = Array.from({ length: 40 * 40 }, (_, i) => ({ x: `x${i % 40}`, y: `y${Math.floor(i / 40)}` }))
    for (const labels of pairs.slice(0, MAX_SERIES - 1)) count(labels)
    assert.equal((await lines(metrics, 'a_total')).length, MAX_SERIES - 1)
    assert.deepEqual(await lines(metrics, 'metrics_overflow_total'), [])
    for (const labels of pairs.slice(MAX_SERIES - 1)) count(labels)
    const all = await lines(metrics, 'a_total')
    assert.equal(all.length, MAX_SERIES)
    assert.ok(all.includes(`a_total{x="other",y="other"} ${1600 - (MAX_SERIES - 1)}`))
    assert.deepEqual(await lines(metrics, 'metrics_overflow_total'), [
      'metrics_overflow_total{metric="a_total",why="series"} 601',
    ])
  })

  it('loses no count to the bounds, whatever labels come', async () => {
    const labels = fc.record({ x: fc.string(), y: fc.constantFrom('a', 'b', 'other') })
    await fc.assert(
      fc.asyncProperty(fc.array(labels, { maxLength: 200 }), async (all) => {
        const metrics = createMetrics()
        const count = metrics.counter('a_total', 'A', ['x', 'y'])
        for (const each of all) count(each)
        const values = await lines(metrics, 'a_total')
        assert.equal(
          values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0),
          all.length,
        )
        assert.ok(values.length <= (MAX_LABEL_VALUES + 1) * 3)
      }),
      { numRuns: 50 },
    )
  })

  it('cuts long label values and escapes what would break a line', async () => {
    const metrics = createMetrics()
    const count = metrics.counter('a_total', 'A', ['x'])
    count({ x: 'y'.repeat(MAX_VALUE_CHARS + 1) })
    count({ x: 'a"b\\c\nd' })
    const [long, odd] = await lines(metrics, 'a_total')
    assert.equal(long, `a_total{x="${'y'.repeat(MAX_VALUE_CHARS)}"} 1`)
    assert.equal(odd, 'a_total{x="a\\"b\\\\c\\nd"} 1')
  })

  it('drops amounts that are negative or no number, and counts that it did', async () => {
    const metrics = createMetrics()
    const count = metrics.counter('a_total', 'A')
    count({}, -1)
    count({}, Number.NaN)
    count({}, Number.POSITIVE_INFINITY)
    metrics.histogram('b_seconds', 'B')(Number.NaN)
    assert.deepEqual(await lines(metrics, 'a_total'), ['a_total 0'])
    assert.deepEqual(await lines(metrics, 'b_seconds_count'), ['b_seconds_count 0'])
    assert.deepEqual(await lines(metrics, 'metrics_overflow_total'), [
      'metrics_overflow_total{metric="a_total",why="sample"} 3',
      'metrics_overflow_total{metric="b_seconds",why="sample"} 1',
    ])
  })

  it('reads gauges at the scrape and at no other time', async () => {
    const metrics = createMetrics()
    let reads = 0
    metrics.gauge('queue_depth', 'Depth', () => {
      reads += 1
      return 7
    })
    assert.equal(reads, 0)
    assert.deepEqual(await lines(metrics, 'queue_depth'), ['queue_depth 7'])
    assert.equal(reads, 1)
  })

  it('reads a gauge that was registered again from its new owner', async () => {
    const metrics = createMetrics()
    metrics.gauge('queue_depth', 'Depth', () => 1)
    metrics.gauge('queue_depth', 'Depth', () => 2)
    assert.deepEqual(await lines(metrics, 'queue_depth'), ['queue_depth 2'])
  })

  it('adds up the rows of a gauge that share a value, and those beyond 50 as other', async () => {
    const metrics = createMetrics()
    let rows: [string, number][] = Array.from({ length: MAX_LABEL_VALUES }, (_, i) => [`p${i}`, 1])
    metrics.gauges('links', 'Links', 'peer', () => rows)
    assert.equal((await lines(metrics, 'links')).length, MAX_LABEL_VALUES)
    assert.deepEqual(await lines(metrics, 'metrics_overflow_total'), [])
    rows = [...rows, ['p0', 2], ['q1', 3], ['q2', 4]]
    const shown = await lines(metrics, 'links')
    assert.equal(shown.length, MAX_LABEL_VALUES + 1)
    assert.ok(shown.includes('links{peer="p0"} 3'))
    assert.ok(shown.includes('links{peer="other"} 7'))
    rows = [['q1', 5]]
    assert.deepEqual(await lines(metrics, 'links'), ['links{peer="q1"} 5'])
  })

  it('leaves out a gauge that cannot be read, and shows the others', async () => {
    const metrics = createMetrics()
    metrics.gauge('broken', 'Broken', () => {
      throw new Error('no')
    })
    metrics.gauge('odd', 'Odd', () => Number.NaN)
    metrics.total('kept_total', 'Kept elsewhere', () => 3)
    assert.deepEqual(await lines(metrics, 'broken'), [])
    assert.deepEqual(await lines(metrics, 'odd'), [])
    assert.deepEqual(await lines(metrics, 'kept_total'), ['kept_total 3'])
    assert.match(await metrics.exposition(), /^# TYPE kept_total counter$/m)
    assert.ok((await lines(metrics, 'metrics_overflow_total')).some((line) => line.includes('"broken"')))
  })

  it('puts its prefix before all names but those that come from elsewhere', async () => {
    const metrics = createMetrics('parley_')
    metrics.counter('a_total', 'A')({}, 1)
    metrics.gauges('b', 'B', 'x', () => [['y', 2]])
    metrics.asNamed.counter('messages_total', 'Of the seeds')({}, 3)
    metrics.asNamed.gauge('process_c', 'C', () => 4)
    assert.deepEqual(await lines(metrics, 'parley_a_total'), ['parley_a_total 1'])
    assert.deepEqual(await lines(metrics, 'parley_b'), ['parley_b{x="y"} 2'])
    assert.deepEqual(await lines(metrics, 'messages_total'), ['messages_total 3'])
    assert.deepEqual(await lines(metrics, 'process_c'), ['process_c 4'])
    assert.match(await metrics.exposition(), /^# TYPE parley_metrics_overflow_total counter$/m)
    assert.throws(() => metrics.asNamed.gauge('parley_a_total', 'A', () => 1), { code: 'STA003' })
  })

  it('keeps two meshes of one process apart', async () => {
    const [a, b] = [createMetrics(), createMetrics()]
    a.counter('same_total', 'Same')({}, 1)
    b.counter('same_total', 'Same')({}, 2)
    assert.deepEqual(await lines(a, 'same_total'), ['same_total 1'])
    assert.deepEqual(await lines(b, 'same_total'), ['same_total 2'])
  })

  it('writes what prom-client writes, byte by byte, whatever stands in labels and help', async () => {
    const odd = fc.string({ unit: fc.constantFrom('a', 'ß', '"', '\\', '\n', '{', '=', ',') })
    const figure = fc.oneof(fc.nat(), fc.double({ min: 0, max: 1e300, noNaN: true }))
    const series = fc.uniqueArray(fc.tuple(odd, odd, figure), { maxLength: 20, selector: ([x, y]) => `${x}|${y}` })
    await fc.assert(
      fc.asyncProperty(odd, series, fc.array(figure), figure, async (text, counts, took, level) => {
        const help = `Help ${text}`
        const ours = createMetrics()
        const count = ours.counter('a_total', help, ['x', 'y'])
        for (const [x, y, by] of counts) count({ x, y }, by)
        const observe = ours.histogram('b_seconds', help, [], [0.5, 10, 1e9])
        for (const one of took) observe(one)
        ours.gauge('c', help, () => level)

        const theirs = new Registry()
        const registers = [theirs]
        const add = new Counter({ name: 'a_total', help, labelNames: ['x', 'y'], registers })
        for (const [x, y, by] of counts) add.inc({ x, y }, by)
        const took2 = new Histogram({ name: 'b_seconds', help, buckets: [0.5, 10, 1e9], registers })
        for (const one of took) took2.observe(one)
        new Gauge({ name: 'c', help, registers }).set(level)

        const [, ...blocks] = (await ours.exposition()).split('\n\n')
        assert.equal(blocks.join('\n\n'), await theirs.metrics())
      }),
      { numRuns: 200 },
    )
  })
})
