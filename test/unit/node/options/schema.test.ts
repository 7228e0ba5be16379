import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { isAbsolute, resolve } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { CompressionOptions, Limits, Timings } from '../../../../node/options/limits.ts'
import { PRESETS } from '../../../../node/options/presets.ts'
import { type MeshOptions, MeshOptionsSchema, type OptionIssue, parseOptions } from '../../../../node/options/schema.ts'
import { makeSecret } from '../../../../node/trust/secret.ts'
import { type Code, isParleyError, type ParleyError } from '../../../../protocols/errors.ts'

const failure = (input: unknown, code: Code = 'MSG001'): ParleyError => {
  try {
    parseOptions(input)
  } catch (error) {
    assert.ok(isParleyError(error, code), String(error))
    return error
  }
  return assert.fail(`accepted ${JSON.stringify(input)}`)
}

const issuesOf = (input: unknown): OptionIssue[] => {
  const { issues } = failure(input).details
  assert.ok(Array.isArray(issues))
  return issues
}

test('without options a node is alone on loopback, with a random name, the local preset, no debug endpoint and no control socket', () => {
  const { name, limits, timings, compression, events, coordination, delivery, discovery, dial, ...rest } =
    parseOptions()
  assert.match(name, /^agent-[0-9a-f]{6}$/)
  assert.notEqual(parseOptions().name, name)
  assert.deepEqual(rest, {
    mesh: 'parley',
    preset: 'local',
    tasks: { retainMs: 86_400_000, holderAwayMs: 60_000 },
    resources: { capacity: {} },
    plans: { roles: [] },
    allowWeakSecret: false,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    join: [],
    labels: {},
    debug: false,
    health: false,
    metrics: { pairs: false, libp2p: false },
    control: false,
    log: 'warn',
    minorGc: false,
    interceptors: [],
    parts: [],
    partOptions: {},
  })
  assert.equal(limits.maxMessageBytes, 4 * 1024 * 1024)
  assert.equal(limits.maxInFlight, 1024)
  assert.equal(limits.streamWindow, 100)
  assert.equal(timings.callTimeoutMs, 30_000)
  assert.equal(timings.backoffMaxMs, 5_000)
  assert.deepEqual(compression.encodings, [])
  assert.deepEqual(coordination, {
    voter: 'auto',
    stableMs: 10_000,
    replaceAfterMs: 600_000,
    snapshotEvery: 30_000,
    commands: [],
  })
  assert.equal(discovery.mdns, false)
  assert.deepEqual(dial, { allow: [], deny: [], names: false })
  assert.deepEqual(delivery.breaker, { failures: 5, windowMs: 10_000, halfOpenAfterMs: 30_000, minWaitMs: 1_000 })
  assert.deepEqual([events.batchEvents, events.batchMs, events.batchBytes], [256, 10, 65_536])
})

test('what was filled in is accepted again and stays the same', () => {
  const { secret: _, ...first } = parseOptions({ preset: 'wan', debug: 0, labels: { zone: 'a' } })
  assert.deepEqual(parseOptions(first), first)
})

test('parts of others have a vendor, and options are for parts that are there', () => {
  const part = (name: string) => ({ name, description: 'For a test.', load: () => Promise.reject(new Error('-')) })
  const refused = (input: unknown): string => {
    try {
      parseOptions(input)
    } catch (error) {
      if (isParleyError(error, 'MSG001')) return `${error.message} ${error.hint}`
    }
    return assert.fail('it was accepted')
  }
  parseOptions({ parts: [part('acme/tally')], partOptions: { 'acme/tally': { most: 3 } } })
  assert.match(refused({ parts: [part('tally')] }), /has no vendor/)
  assert.match(refused({ parts: [{ name: 'acme/tally' }] }), /definePart/)
  assert.match(refused({ parts: Array.from({ length: 65 }, (_, i) => part(`acme/p${i}`)) }), /parts/)
  assert.match(refused({ parts: [part('acme/tally')], partOptions: { 'acme/taly': {} } }), /did you mean acme\/tally/)
  assert.match(refused({ partOptions: { 'acme/tally': {} } }), /createMesh/)
})

test('a preset changes what it names, and what the user gives stands above it', () => {
  assert.deepEqual(
    (['local', 'lan', 'wan'] as const).map((preset) => parseOptions({ preset }).timings.backoffMaxMs),
    [5_000, 15_000, 30_000],
  )
  const wan = parseOptions({ preset: 'wan', timings: { backoffMaxMs: 60_000, dialTimeoutMs: undefined }, limits: {} })
  assert.equal(wan.timings.backoffMaxMs, 60_000)
  assert.equal(wan.timings.dialTimeoutMs, 15_000)
  assert.equal(wan.limits.inboundConnectionsPerSecond, 20)
  assert.deepEqual(wan.compression, { minBytes: 512, encodings: ['zstd', 'gzip'] })
  assert.equal(wan.timings.callTimeoutMs, 30_000)
})

test('each figure of a preset differs from the default, or it would not be needed', () => {
  const defaults: Pick<MeshOptions, 'limits' | 'timings' | 'compression'> = parseOptions()
  for (const [preset, groups] of Object.entries(PRESETS)) {
    for (const [group, figures] of Object.entries(groups)) {
      for (const [field, value] of Object.entries(figures)) {
        const usual: unknown = Reflect.get(Reflect.get(defaults, group), field)
        assert.notDeepEqual(value, usual, `${preset}.${group}.${field}`)
      }
    }
  }
})

test('every option says what it means', () => {
  const shapes = { options: MeshOptionsSchema, limits: Limits, timings: Timings, compression: CompressionOptions }
  for (const [group, { shape }] of Object.entries(shapes)) {
    for (const [field, schema] of Object.entries(shape)) {
      assert.match(schema.description ?? '', /^[A-Z].{15,}\.$/, `${group}.${field}`)
    }
  }
})

test('an unknown field is refused with the name that was probably meant', () => {
  for (const [input, path, hint] of [
    [{ nmae: 'x' }, 'nmae', /did you mean name\?/],
    [{ dataDirectory: '/x' }, 'dataDirectory', /known are name, mesh/],
    [{ maxMessageBytes: 1 }, 'maxMessageBytes', /did you mean limits\.maxMessageBytes\?/],
    [{ limits: { maxMesageBytes: 1 } }, 'limits.maxMesageBytes', /did you mean maxMessageBytes\?/],
    [{ limits: { backoffMinMs: 1 } }, 'limits.backoffMinMs', /did you mean timings\.backoffMinMs\?/],
    [{ timings: { callTimeout: 1 } }, 'timings.callTimeout', /did you mean callTimeoutMs\?/],
    [{ events: { batchevents: 1 } }, 'events.batchevents', /did you mean batchEvents\?/],
    [{ toString: 1 }, 'toString', /known are/],
  ] as const) {
    const [issue, ...more] = issuesOf(input)
    assert.deepEqual(more, [])
    assert.equal(issue?.path, path)
    assert.match(issue?.hint ?? '', hint)
    assert.match(failure(input).hint ?? '', hint)
  }
})

test('all problems are told at once, each with its path; beyond 20 they are counted', () => {
  const error = failure({ name: '', mesh: 'a b', limits: { maxInFlight: 0 }, typo: 1 })
  assert.match(error.message, /name: .*mesh: .*limits\.maxInFlight: .*typo: unknown option/)
  const listOf = (count: number) => ({ listen: Array(count).fill('x') })
  assert.equal(issuesOf(listOf(20)).length, 20)
  assert.doesNotMatch(failure(listOf(20)).message, /more$/)
  assert.equal(issuesOf(listOf(21)).length, 20)
  assert.match(failure(listOf(21)).message, /and 1 more$/)
})

test('each bound of each number is taken, and one past it is refused', () => {
  let bounds = 0
  for (const [group, { shape }] of Object.entries({
    limits: Limits,
    timings: Timings,
    compression: CompressionOptions,
  })) {
    for (const [field, schema] of Object.entries(shape)) {
      if (!(schema.def.innerType instanceof z.ZodNumber)) continue
      const { minValue, maxValue } = schema.def.innerType
      // Timers take no more than 31 bits; a disk has more bytes.
      const most = field === 'maxDiskBytes' ? 2 ** 51 : 2 ** 31
      assert.ok(minValue !== null && maxValue !== null && maxValue < most, `${group}.${field} has no bounds`)
      const accepts = (value: number): boolean => schema.safeParse(value).success
      assert.ok(accepts(minValue) && accepts(maxValue), `${group}.${field}`)
      assert.ok(!accepts(minValue - 1) && !accepts(maxValue + 1) && !accepts(minValue + 0.5), `${group}.${field}`)
      bounds += 1
    }
  }
  assert.ok(bounds >= 33, `${bounds} numbers`)
})

test('lists, labels and names are taken up to their length and refused one past it', () => {
  parseOptions({ labels: labelsOf(32) })
  assert.match(failure({ labels: labelsOf(33) }).message, /labels: use at most 32/)
  parseOptions({ join: Array(64).fill('/ip4/127.0.0.1/tcp/1') })
  assert.match(failure({ join: Array(65).fill('/ip4/127.0.0.1/tcp/1') }).message, /join/)
  parseOptions({ name: 'n'.repeat(64), secret: 's'.repeat(1024) })
  assert.match(failure({ name: 'n'.repeat(65) }).message, /name/)
  assert.match(failure({ secret: 's'.repeat(1025) }).message, /secret/)
})

const labelsOf = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, 'v']))

test('figures that contradict each other are refused', () => {
  for (const [input, path] of [
    [{ limits: { maxFrameBytes: 64 * 1024 } }, 'limits.maxFrameBytes'],
    [{ timings: { backoffMinMs: 5_001 } }, 'timings.backoffMinMs'],
    [{ timings: { probeTimeoutMs: 5_001 } }, 'timings.probeTimeoutMs'],
    [{ timings: { recordTtlMs: 999 } }, 'timings.syncPeriodMs'],
  ] as const) {
    assert.equal(issuesOf(input)[0]?.path, path)
  }
  parseOptions({ limits: { maxFrameBytes: 68 * 1024 } })
  parseOptions({ timings: { backoffMinMs: 5_000, probeTimeoutMs: 5_000, recordTtlMs: 1_000 } })
})

test('debug is off, a port, or port and host', () => {
  assert.equal(parseOptions({ debug: false }).debug, false)
  assert.deepEqual(parseOptions({ debug: 8090 }).debug, { port: 8090, host: '127.0.0.1' })
  assert.deepEqual(parseOptions({ debug: {} }).debug, { port: 0, host: '127.0.0.1' })
  assert.deepEqual(parseOptions({ debug: { port: 1, host: '::1' } }).debug, { port: 1, host: '::1' })
  for (const debug of [true, '8090', null]) {
    assert.equal(issuesOf({ debug })[0]?.message, 'use false, a port, or { port, host }')
  }
  for (const debug of [65_536, -1, { host: '' }, { port: -1 }]) {
    assert.match(issuesOf({ debug })[0]?.path ?? '', /^debug/)
  }
  assert.deepEqual(issuesOf({ debug: { prot: 1 } }), [
    { path: 'debug.prot', message: 'unknown option', hint: 'did you mean port?' },
  ])
})

test('health is off, a port, or port and host', () => {
  assert.equal(parseOptions({ health: false }).health, false)
  assert.deepEqual(parseOptions({ health: 8091 }).health, { port: 8091, host: '127.0.0.1' })
  assert.deepEqual(parseOptions({ health: { host: '0.0.0.0' } }).health, { port: 0, host: '0.0.0.0' })
  assert.match(issuesOf({ health: { port: 65_536 } })[0]?.path ?? '', /^health/)
  assert.deepEqual(issuesOf({ health: { hots: '::' } }), [
    { path: 'health.hots', message: 'unknown option', hint: 'did you mean host?' },
  ])
  assert.equal(issuesOf({ metrics: { pair: true } })[0]?.hint, 'did you mean pairs?')
})

test('log is a level or an object with the three functions, which is kept as it is', () => {
  const log = { error() {}, warn() {}, info() {}, flush() {} }
  assert.equal(parseOptions({ log }).log, log)
  assert.equal(parseOptions({ log: 'silent' }).log, 'silent')
  for (const wrong of ['debug', { error() {}, warn() {} }, true]) {
    assert.match(issuesOf({ log: wrong })[0]?.message ?? '', /use silent, error, warn, info, or an object/)
  }
})

test('the data directory becomes absolute', () => {
  const { dataDir = '' } = parseOptions({ dataDir: 'data' })
  assert.ok(isAbsolute(dataDir))
  assert.equal(dataDir, resolve('data'))
})

test('addresses that no transport can use are refused by their place in the list', () => {
  const join = ['/ip4/127.0.0.1/tcp/1', 'localhost:1', '/ip4/127.0.0.1/udp/1/webrtc-direct']
  assert.deepEqual(
    issuesOf({ join }).map(({ path }) => path),
    ['join.1', 'join.2'],
  )
})

test('without a secret nothing goes beyond this machine', () => {
  parseOptions({ listen: ['/ip6/::1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'], join: ['/dns4/localhost/tcp/1'] })
  for (const input of [
    { listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/0.0.0.0/tcp/0'] },
    { join: ['/dns4/mesh/tcp/8081'] },
    { announce: ['/ip4/203.0.113.1/tcp/1'] },
  ]) {
    const error = failure(input, 'SEC001')
    assert.equal(error.details.reason, 'no-secret')
    assert.match(error.hint ?? '', /parley secret/)
    parseOptions({ ...input, secret: makeSecret() })
  }
})

test('a weak secret stays on this machine, unless it is allowed by name', () => {
  const beyond = { listen: ['/ip4/0.0.0.0/tcp/0'] }
  assert.deepEqual(parseOptions({ secret: 'weak' }).secret, ['weak'])
  const error = failure({ ...beyond, secret: 'weak-Secret' }, 'SEC001')
  assert.equal(error.details.reason, 'weak-secret')
  assert.match(error.hint ?? '', /allowWeakSecret/)
  failure({ ...beyond, secret: [makeSecret(), 'weak'] }, 'SEC001')
  parseOptions({ ...beyond, secret: 'weak', allowWeakSecret: true })
  const two: [string, string] = [makeSecret(), makeSecret()]
  assert.deepEqual(parseOptions({ ...beyond, secret: two }).secret, two)
})

test('a mistyped secret is refused everywhere, also where weak ones are allowed', () => {
  const secret = makeSecret()
  const wrong = secret.slice(0, -1) + (secret.endsWith('A') ? 'B' : 'A')
  for (const input of [{ secret: wrong }, { secret: wrong, allowWeakSecret: true }]) {
    const error = failure(input, 'SEC001')
    assert.equal(error.details.reason, 'mistyped-secret')
    assert.match(error.message, /^the secret begins like one that/)
    assert.match(error.hint ?? '', /copy it again/)
    assert.ok(!JSON.stringify(error).includes(wrong.slice(8, 30)))
  }
  assert.match(failure({ secret: [secret, wrong] }, 'SEC001').message, /^the second secret/)
})

test('a secret of the former form still reaches beyond this machine', () => {
  const secret = randomBytes(32).toString('base64url')
  assert.deepEqual(parseOptions({ secret, listen: ['/ip4/0.0.0.0/tcp/0'] }).secret, [secret])
})

test('no error ever holds the secret', () => {
  const secret = 'hunter2-hunter2'
  const inputs: [unknown, Code][] = [
    [{ secret, listen: ['/ip4/0.0.0.0/tcp/0'] }, 'SEC001'],
    [{ secret: [secret, secret, secret] }, 'MSG001'],
    [{ secret: [secret, 5] }, 'MSG001'],
    [{ secret: { value: secret } }, 'MSG001'],
    [{ secret: secret.repeat(100) }, 'MSG001'],
    [{ secret, name: '' }, 'MSG001'],
  ]
  for (const [input, code] of inputs) {
    const { message, hint, details, stack, cause } = failure(input, code)
    assert.ok(!JSON.stringify([message, hint, details, stack, cause]).includes('hunter2'), message)
  }
})

test('whatever is given, the outcome is options or a ParleyError', () => {
  const fields = [...Object.keys(MeshOptionsSchema.shape), '__proto__', 'constructor', 'x']
  const value = fc.oneof(
    fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withMap: true, withTypedArray: true }),
    fc.constantFrom('local', 'wan', '/ip4/127.0.0.1/tcp/0', ['/ip4/0.0.0.0/tcp/1'], { [Symbol('s')]: 'v' }),
  )
  fc.assert(
    fc.property(fc.oneof(value, fc.dictionary(fc.constantFrom(...fields), value)), (input) => {
      try {
        parseOptions(input)
      } catch (error) {
        assert.ok(isParleyError(error, 'MSG001', 'SEC001'), String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test('a group that is no object is refused, also under a preset', () => {
  for (const limits of [null, 5, [], 'x']) {
    assert.equal(issuesOf({ preset: 'wan', limits })[0]?.path, 'limits')
  }
  for (const input of [null, [], 'x', 5]) assert.equal(issuesOf(input)[0]?.path, 'options')
})

test('a mesh is founded by nodes that keep what they promise', () => {
  const expect = 3
  assert.equal(parseOptions({ dataDir: 'd', coordination: { expect } }).coordination.expect, 3)
  for (const options of [{ coordination: { expect } }, { dataDir: 'd', coordination: { expect, voter: 'never' } }])
    assert.throws(() => parseOptions(options), { code: 'MSG001', message: /coordination\.expect/ })
})

test('relays need a secret, also on this machine, and their options are checked with hints of their own', () => {
  for (const relay of [{ serve: true }, { use: 'always' }]) {
    const error = failure({ discovery: { relay } }, 'SEC001')
    assert.equal(error.details.reason, 'no-secret')
    assert.match(error.hint ?? '', /parley secret/)
    parseOptions({ secret: makeSecret(), discovery: { relay } })
  }
  assert.deepEqual(parseOptions().discovery.relay.use, 'auto')
  const [issue] = issuesOf({ discovery: { relay: { sreve: true } } })
  assert.deepEqual([issue?.path, issue?.hint], ['discovery.relay.sreve', 'did you mean serve?'])
  assert.match(issuesOf({ discovery: { dht: 'on' } })[0]?.path ?? '', /^discovery\.dht$/)
})
