import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { buildOptions } from '../../../../../node/options/config/build-options.ts'
import { dotted, type KeyShape, leafShapes } from '../../../../../node/options/config/key-shape.ts'
import { keySpace } from '../../../../../node/options/config/key-space.ts'
import type { Setting, SettingOrigin } from '../../../../../node/options/config/setting-layer.ts'
import { shownValues } from '../../../../../node/options/config/shown-values.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

const ORIGINS: SettingOrigin[] = [
  { kind: 'default' },
  { kind: 'file', path: 'parley.yaml', line: 7 },
  { kind: 'environment', name: 'PARLEY_X' },
  { kind: 'flag', name: '--x' },
]
const origin = (layer: number): SettingOrigin => ORIGINS[layer] ?? { kind: 'default' }

const entry = (key: string, value: unknown, layer = 1): Setting => ({
  path: key.split('.'),
  value,
  origin: origin(layer),
})

const issuesOf = (run: () => unknown): string[] => {
  try {
    run()
  } catch (error) {
    assert.ok(isParleyError(error, 'MSG001'), String(error))
    const { issues } = error.details
    assert.ok(Array.isArray(issues))
    return issues.map(({ place, path, message }) => `${place} ${path}: ${message}`)
  }
  return []
}

/** Whole numbers with a range, whose values do not depend on others. */
const numbers = leafShapes(keySpace().options).flatMap((shape: KeyShape) => {
  if (shape.kind !== 'leaf' || shape.schema.type !== 'integer' || shape.option === undefined) return []
  if (!['events', 'delivery'].includes(shape.path[0] ?? '')) return []
  const { minimum = 0, maximum = 2 ** 40 } = shape.schema
  return [{ shape, least: Number(minimum), most: Math.min(Number(maximum), 2 ** 40) }]
})

test('of each key the highest layer that has it wins, whatever stands in the others, and its place is known', () => {
  const cell = fc.record({
    at: fc.nat(numbers.length - 1),
    layer: fc.nat(3),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  fc.assert(
    fc.property(fc.uniqueArray(cell, { selector: ({ at, layer }) => `${at} ${layer}`, maxLength: 40 }), (cells) => {
      const layers: Setting[][] = [[], [], [], []]
      const expected = new Map<string, { value: number; layer: number }>()
      for (const { at, layer, share } of cells) {
        const one = numbers[at]
        if (one === undefined) continue
        const value = one.least + Math.floor(share * (one.most - one.least))
        const key = dotted(one.shape.path)
        layers[layer]?.push(entry(key, value, layer))
        if ((expected.get(key)?.layer ?? -1) < layer) expected.set(key, { value, layer })
      }
      const built = buildOptions(layers, [])
      const shown = new Map(shownValues(built).map((row) => [row.key, row]))
      for (const [key, { value, layer }] of expected) {
        assert.equal(shown.get(key)?.value, value, key)
        assert.deepEqual(shown.get(key)?.origin, origin(layer), key)
      }
      for (const [key, { origin: from }] of shown) if (!expected.has(key)) assert.equal(from.kind, 'default', key)
    }),
  )
})

test('every key of the options reaches the option of its name', () => {
  for (const { shape, most } of numbers) {
    const { input } = buildOptions([[entry(dotted(shape.path), most)]], [])
    const value = (shape.option ?? []).reduce<unknown>(
      (tree, name) => (typeof tree === 'object' && tree !== null ? Reflect.get(tree, name) : undefined),
      input,
    )
    assert.equal(value, most, dotted(shape.path))
  }
})

test('each key of the sections reaches what it stands for', () => {
  const cases: [string, unknown, string, unknown][] = [
    ['service_name', 'alpha', 'name', 'alpha'],
    ['response_timeout', 1500, 'timings.call_timeout_ms', 1500],
    ['response_timeout', '2s', 'timings.call_timeout_ms', 2000],
    ['protocols.compression', 'gzip', 'compression.encodings', ['zstd', 'gzip']],
    ['protocols.compression', 'zstd', 'compression.encodings', ['zstd']],
    ['protocols.compression', 'none', 'compression.encodings', []],
    ['reliability.delivery_guarantee', 'exactly-once', 'delivery.guarantee', 'EXACTLY_ONCE'],
    ['reliability.delivery_guarantee', 'at-most-once', 'delivery.guarantee', 'AT_MOST_ONCE'],
    ['reliability.retry_policy.max_retries', 9, 'delivery.retry.max_retries', 9],
    ['reliability.retry_policy.initial_delay', 20, 'delivery.retry.initial_delay_ms', 20],
    ['reliability.retry_policy.max_delay', '40ms', 'delivery.retry.max_delay_ms', 40],
    ['flow_control.window_size', 1000, 'delivery.window', 1000],
    ['flow_control.batch_size', 50, 'events.batch_events', 50],
    ['flow_control.batch_timeout', '10ms', 'events.batch_ms', 10],
    ['transports.tcp.port', 9000, 'listen', ['/ip4/127.0.0.1/tcp/9000']],
    ['transports.tcp', null, 'listen', ['/ip4/127.0.0.1/tcp/8081']],
    ['transports.websocket', null, 'listen', ['/ip4/127.0.0.1/tcp/8080/ws']],
  ]
  for (const [key, value, option, expected] of cases) {
    const row = shownValues(buildOptions([[entry(key, value)]], [])).find((one) => one.key === option)
    assert.deepEqual(row?.value, expected, `${key}: ${value}`)
    assert.equal(row?.writtenAs, key.startsWith('transports') ? 'transports' : key)
  }
})

test('what cannot be had is taken at its usual value and refused at any other, with the reason', () => {
  const cases: [string, unknown, unknown, RegExp][] = [
    ['allocation_timeout', 30_000, 5_000, /resources are not in this version/],
    ['update_timeout', 30_000, 5_000, /model updates are not in this version/],
    ['protocols.message_format', 'json', 'xml', /says so itself/],
    ['protocols.encryption', 'aes-256-gcm', 'none', /Noise/],
    ['protocols.authentication', 'jwt', 'basic', /gateway/],
    ['reliability.retry_policy.backoff', 'exponential', 'linear', /twice/],
    ['security.encryption_enabled', true, false, /cannot be switched off/],
    ['security.authentication_required', true, false, /cannot be switched off/],
    ['security.authorization_enabled', true, false, /checked always/],
    ['monitoring.tracing_enabled', true, false, /carries nothing/],
    ['monitoring.metrics_collection', true, false, /always/],
    ['monitoring.dead_letter_queue', true, false, /always/],
    ['transports.tcp.keepalive', true, false, /always on/],
    ['transports.udp.multicast', false, true, /discovery\.mdns/],
  ]
  for (const [key, usual, other, reason] of cases) {
    if (!key.startsWith('transports.udp')) buildOptions([[entry(key, usual)]], [])
    const [issue, more] = issuesOf(() => buildOptions([[entry(key, other)]], []))
    assert.equal(more, undefined)
    assert.ok(issue?.startsWith(`parley.yaml:7 ${key}: only ${usual} can be had`), issue)
    assert.match(issue ?? '', reason)
  }
})

test('what reads as if it switched something on and does not is told to whoever wrote it', () => {
  const entries = [entry('security.authorization_enabled', true), entry('monitoring.tracing_enabled', true)]
  const { notices } = buildOptions([entries], [])
  assert.equal(notices.length, 2)
  assert.match(notices[0] ?? '', /^security\.authorization_enabled has no effect: .*every member may do everything/)
  assert.match(notices[1] ?? '', /^monitoring\.tracing_enabled has no effect: no spans/)
  assert.deepEqual(buildOptions([[entry('monitoring.metrics_collection', true)]], []).notices, [])
})

test('transports listen in one order, on one address or on all, and websocket says when it stays ws', () => {
  const secret = entry('secret', 'q'.repeat(20))
  const weak = entry('allow_weak_secret', true)
  const all = buildOptions([[secret, weak, entry('transports.host', 'all'), entry('transports.tcp', null)]], [])
  assert.deepEqual(all.options.listen, ['/ip4/0.0.0.0/tcp/8081', '/ip6/::/tcp/8081'])
  const six = buildOptions([[entry('transports.host', '::1'), entry('transports.tcp.port', 0)]], [])
  assert.deepEqual(six.options.listen, ['/ip6/::1/tcp/0'])
  const ws = buildOptions([[entry('transports.websocket.ssl', true)]], [])
  assert.match(ws.notices[0] ?? '', /stays ws/)
  assert.deepEqual(buildOptions([[entry('transports.websocket.ssl', false)]], []).notices, [])
  const wss = buildOptions(
    [
      [
        entry('transports.websocket.certificate_file', '/c.pem'),
        entry('transports.websocket.key_file', '/k.pem'),
        entry('transports.tcp', null),
      ],
    ],
    [],
  )
  assert.deepEqual(wss.options.listen, ['/ip4/127.0.0.1/tcp/8081', '/ip4/127.0.0.1/tcp/8080/tls/ws'])
  assert.deepEqual(wss.options.tls, { certFile: '/c.pem', keyFile: '/k.pem' })
  assert.match(
    issuesOf(() => buildOptions([[entry('transports.host', 'here')]], []))[0] ?? '',
    /transports\.host: use an IP/,
  )
})

test('two keys that say the same are refused in one layer where they differ, and the higher layer wins', () => {
  const listen = entry('listen', ['/ip4/127.0.0.1/tcp/1'])
  const [issue] = issuesOf(() => buildOptions([[listen, entry('transports.tcp.port', 2)]], []))
  assert.equal(issue, 'parley.yaml:7 transports: contradicts listen at parley.yaml:7')
  assert.deepEqual(buildOptions([[entry('transports.tcp.port', 2)], [listen]], []).options.listen, [
    '/ip4/127.0.0.1/tcp/1',
  ])
  assert.deepEqual(buildOptions([[listen], [entry('transports.tcp.port', 2)]], []).options.listen, [
    '/ip4/127.0.0.1/tcp/2',
  ])
  const [names] = issuesOf(() => buildOptions([[entry('name', 'a'), entry('service_name', 'b')]], []))
  assert.match(names ?? '', /service_name: contradicts name/)
  assert.equal(buildOptions([[entry('name', 'a'), entry('service_name', 'a')]], []).options.name, 'a')
})

test('a section that is off or on as a whole replaces what lower layers have in it, and the other way', () => {
  const parts = [entry('debug.port', 9000, 1), entry('debug.host', '::1', 1)]
  assert.equal(buildOptions([parts, [entry('debug', false, 2)]], []).options.debug, false)
  const on = buildOptions([[entry('debug', false, 1)], [entry('debug.port', 9001, 2)]], []).options.debug
  assert.ok(on !== false)
  assert.deepEqual([on.port, on.host], [9001, '127.0.0.1'])
})

test('what createMesh refuses is told by key, place and value, all problems at once', () => {
  const issues = issuesOf(() =>
    buildOptions(
      [[entry('limits.max_connections', 'many'), entry('timings.backoff_min_ms', 60_000), entry('join', ['x'])]],
      [],
    ),
  )
  assert.equal(issues.length, 3)
  assert.match(issues.join('\n'), /parley\.yaml:7 limits\.max_connections: .*number/)
  assert.match(issues.join('\n'), /parley\.yaml:7 join\.0: "x" is no multiaddress/)
  const [two] = issuesOf(() => buildOptions([[entry('timings.backoff_min_ms', 60_000)]], []))
  assert.match(two ?? '', /timings\.backoff_min_ms: 60000 must not be above backoff_max_ms/)
  const [seed] = issuesOf(() => buildOptions([[entry('response_timeout', 2 ** 31)]], []))
  assert.match(seed ?? '', /response_timeout: Too big/)
})

test('beyond this machine a secret is asked for, as by createMesh', () => {
  assert.throws(
    () => buildOptions([[entry('transports.host', 'all'), entry('transports.tcp', null)]], []),
    (error) => isParleyError(error, 'SEC001'),
  )
})

test('sections of parts may be anything where modules of parts are named, and nothing where none is', () => {
  const section = entry('part_options.acme/poll', { most: 3 })
  const built = buildOptions([[entry('parts', ['poll.ts']), section]], [])
  assert.deepEqual(built.parts, ['poll.ts'])
  assert.deepEqual(built.input.partOptions, { 'acme/poll': { most: 3 } })
  const shown = shownValues(built).filter(({ key }) => key.startsWith('part'))
  assert.deepEqual(
    shown.map(({ key, value }) => [key, value]),
    [
      ['part_options.acme/poll', { most: 3 }],
      ['parts', ['poll.ts']],
    ],
  )
  assert.deepEqual(
    issuesOf(() => buildOptions([[section]], [])),
    ['parley.yaml:7 part_options.acme/poll: this node has no such part'],
  )
})
