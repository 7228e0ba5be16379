/** What dashboards, alerts and docs/metrics.md say of metrics is held against what a node really shows by its health listener. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { createMesh, type Mesh } from '../../../node/index.ts'

const read = (path: string): Promise<string> => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8')

const Alerts = z.object({
  kind: z.literal('PrometheusRule'),
  spec: z.strictObject({
    groups: z.array(
      z.strictObject({
        name: z.string(),
        rules: z.array(
          z.strictObject({
            alert: z.string(),
            expr: z.string(),
            for: z.string().optional(),
            labels: z.object({ severity: z.enum(['info', 'warning', 'critical']) }),
            annotations: z.object({ summary: z.string().min(20) }),
          }),
        ),
      }),
    ),
  }),
})
const Dashboard = z.object({
  title: z.string(),
  panels: z.array(
    z.object({
      id: z.number(),
      title: z.string(),
      gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
      targets: z.array(z.object({ expr: z.string() })).min(1),
    }),
  ),
})
const rules = Alerts.parse(parse(await read('docker/monitoring/alerts.yaml'))).spec.groups.flatMap(({ rules }) => rules)
const { panels } = Dashboard.parse(JSON.parse(await read('docker/monitoring/dashboard.json')))
const queries = [...rules.map(({ expr }) => expr), ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))]

/** Words of PromQL. */
const WORDS = new Set(
  'sum max min count avg by without and or unless on ignoring rate increase delta deriv histogram_quantile'.split(' '),
)
/** Of Prometheus and of where a node was scraped. */
const FOREIGN_LABELS = new Set(['job', 'instance', 'pod', 'namespace', 'le'])

/** The metrics that a query asks for. */
const metricsIn = (query: string): string[] => {
  const bare = query
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without) \([^)]*\)/g, ' ')
  return [...bare.matchAll(/[a-zA-Z_:][a-zA-Z0-9_:]*/g)].map(([word]) => word).filter((word) => !WORDS.has(word))
}

/** The labels that a query uses. */
const labelsIn = (query: string): string[] => [
  ...[...query.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = '']) => label),
  ...[...query.matchAll(/\b(?:by|without) \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/)),
]

/** Those of docs/metrics.md, with their labels. */
const PAGE = await read('docs/metrics.md')
const named = new Map(
  [...PAGE.matchAll(/^\| `([a-z][a-z0-9_]+)` \| \w+ \| ([^|]*) \|/gm)].map(([, name = '', labels = '']) => [
    name,
    [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label),
  ]),
)

/** By name, its type, as a node shows it that has everything switched on. */
let shown = new Map<string, string>()
let text = ''
let dataDir = ''
let mesh: Mesh

describe('the metrics that are named', () => {
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'parley-monitoring-'))
    const options = { control: true, debug: 0, health: 0, metrics: { pairs: true, libp2p: true } }
    mesh = await createMesh({ name: 'shown', dataDir, log: 'silent', ...options })
    text = await (await fetch(`${mesh.healthUrl}/metrics`)).text()
    shown = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]))
  })
  after(async () => {
    await mesh.stop()
    await rm(dataDir, { recursive: true })
  })

  /** A histogram is asked for by its parts. */
  const isShown = (name: string): boolean => {
    const [, base = '', part] = /^(.*?)(_bucket|_sum|_count)?$/.exec(name) ?? []
    return shown.has(name) || (part !== undefined && shown.get(base) === 'histogram')
  }

  test('by alerts and dashboard are all there, and are asked for as what they are', () => {
    const asked = queries.flatMap(metricsIn)
    assert.ok(new Set(asked).size > 30)
    assert.deepEqual(
      [...new Set(asked)].filter((name) => !isShown(name)),
      [],
    )
    for (const query of queries) {
      for (const [, fn = '', name = ''] of query.matchAll(/\b(rate|increase|delta|deriv)\(([a-z_]+)/g)) {
        const isGauge = shown.get(name) === 'gauge'
        assert.equal(isGauge, fn === 'delta' || fn === 'deriv', `${fn} of ${name} in ${query}`)
      }
    }
  })

  test('by docs/metrics.md are all there', () => {
    assert.ok(named.size > 90)
    assert.deepEqual(
      [...named.keys()].filter((name) => !isShown(name)),
      [],
    )
  })

  test('have the prefix of the mesh, but for those of the seeds, of Node and of libp2p', () => {
    const others = [...shown.keys()].filter((name) => !/^(parley|process|nodejs|libp2p)_/.test(name))
    assert.deepEqual(others.sort(), [
      'active_connections',
      'coordination_success_rate',
      'directive_completion_time',
      'message_latency',
      'message_latency_seconds',
      'messages_total',
    ])
    assert.ok(shown.has('libp2p_data_transfer_bytes_total'))
  })

  test('are told of with labels that docs/metrics.md names', () => {
    const known = new Set([...named.values()].flat())
    const wrong = queries.flatMap((query) =>
      labelsIn(query).filter((one) => !known.has(one) && !FOREIGN_LABELS.has(one)),
    )
    assert.deepEqual(wrong, [])
    for (const query of queries)
      for (const [, name = '', matchers = ''] of query.matchAll(/([a-z_]+?)(?:_bucket)?\{([^}]*)\}/g))
        for (const label of labelsIn(matchers))
          assert.ok(named.get(name)?.includes(label) || FOREIGN_LABELS.has(label), `${label} of ${name}`)
  })

  test("of calls are the program's, though the mesh was busy too", async () => {
    const lines = text.split('\n')
    assert.ok(!lines.some((line) => line.startsWith('parley_calls_total{')))
    assert.equal(
      lines.find((line) => line.startsWith('parley_ready ')),
      'parley_ready 1',
    )
  })
})

test('a query is read as it is meant, also where it is wrong', () => {
  const query = 'sum by (le, topic) (rate(parley_x_bucket{a="b",c!~"d"}[5m])) / no_such_total > 0.5'
  assert.deepEqual(metricsIn(query), ['parley_x_bucket', 'no_such_total'])
  assert.deepEqual(labelsIn(query), ['a', 'c', 'le', 'topic'])
})

test('alerts have a name each, and panels a place each', () => {
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert } of rules) assert.match(alert, /^Parley[A-Z]\w+$/)
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  assert.equal(new Set(panels.map(({ gridPos: { x, y } }) => `${x} ${y}`)).size, panels.length)
})

test('scrapers ask the health port that the image has, of all members', async () => {
  const Scrape = z.object({
    scrape_configs: z.array(
      z.object({ dns_sd_configs: z.array(z.object({ names: z.array(z.string()), port: z.number() })) }),
    ),
  })
  const { scrape_configs: configs } = Scrape.parse(parse(await read('docker/monitoring/prometheus.yaml')))
  assert.deepEqual(configs[0]?.dns_sd_configs, [{ names: ['parley-seed', 'agent'], port: 8091 }])
  const monitor = parse(await read('docker/monitoring/pod-monitor.yaml'))
  assert.deepEqual(monitor.spec.selector, { matchLabels: { 'parley-member': 'true' } })
  assert.deepEqual(
    [monitor.spec.podMetricsEndpoints[0].port, monitor.spec.namespaceSelector],
    ['health', { any: true }],
  )
})
