import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeSecret } from '../../../../node/index.ts'
import { type LiveParts, liveSettings } from '../../../../node/options/live-settings.ts'
import { reloadOptions } from '../../../../node/options/reload.ts'
import { type MeshOptions, type MeshOptionsInput, parseOptions } from '../../../../node/options/schema.ts'
import { isParleyError } from '../../../../protocols/errors.ts'

/** A node's parts that note what they were told. */
const node = (input: MeshOptionsInput = {}) => {
  const options = parseOptions({ name: 'a', ...input })
  const told: string[] = []
  const { maxCallMs, maxStreamMs, streamIdleMs } = options.timings
  const linkLimits = { ...options.limits, compressMinBytes: 0, maxCallMs, maxStreamMs, streamIdleMs }
  const parts: LiveParts = {
    options,
    ownLog: { setLevel: (level) => void told.push(`log ${level}`) },
    slots: { resize: (active, queued) => void told.push(`slots ${active} ${queued}`) },
    quota: { resize: (most) => void told.push(`disk ${most}`) },
    linkLimits,
    trust: {
      prepare: async (secrets) => (secrets.length === 0 ? undefined : () => void told.push(`trust ${secrets.length}`)),
    },
    events: { retune: ({ batchMs }) => void told.push(`events ${batchMs}`) },
    delivery: { retune: ({ retry }) => void told.push(`delivery ${retry?.maxRetries}`) },
    setMaxConnections: (most) => void told.push(`connections ${most}`),
    setInboundPerSecond: (most) => void told.push(`rate ${most}`),
    announce: () => void told.push('announce'),
    forgetAllRefusals: () => void told.push('pardon'),
    secretsChanged: () => void told.push('prove'),
  }
  return {
    options,
    told,
    linkLimits,
    change: (changes: unknown) => reloadOptions(options, changes, liveSettings(parts)),
  }
}

const snapshot = (options: MeshOptions): string => JSON.stringify(options)

test('what can change while the node runs is written and told, once for each part', async () => {
  const { options, told, linkLimits, change } = node()
  const result = await change({
    log: 'info',
    labels: { zone: 'a' },
    limits: {
      maxActive: 5,
      maxQueuedInbound: 6,
      maxConnections: 7,
      inboundConnectionsPerSecond: 4,
      maxInFlight: 8,
      streamWindow: 9,
    },
    timings: { callTimeoutMs: 10 },
    events: { batchMs: 11 },
    delivery: { retry: { maxRetries: 12 }, breaker: { failures: 13 } },
  })
  assert.deepEqual(result, {
    applied: [
      'log',
      'labels',
      'limits.maxActive',
      'limits.maxQueuedInbound',
      'limits.maxConnections',
      'limits.inboundConnectionsPerSecond',
      'limits.maxInFlight',
      'limits.streamWindow',
      'timings.callTimeoutMs',
      'events.batchMs',
      'delivery.retry.maxRetries',
      'delivery.breaker.failures',
    ],
    needsRestart: [],
    unchanged: [],
  })
  assert.deepEqual(told, ['log info', 'announce', 'slots 5 6', 'connections 7', 'rate 4', 'events 11', 'delivery 12'])
  assert.deepEqual([linkLimits.maxInFlight, linkLimits.streamWindow], [8, 9])
  assert.deepEqual([options.timings.callTimeoutMs, options.delivery.breaker.failures], [10, 13])
})

test('what needs a restart is named and stays as it was; what is so already is named too', async () => {
  const { options, told, change } = node()
  const before = snapshot(options)
  const result = await change({
    name: 'b',
    listen: ['/ip4/127.0.0.1/tcp/1'],
    limits: { maxFrameBytes: 200_000, maxActive: options.limits.maxActive },
    discovery: { mdns: true },
    mesh: 'parley',
  })
  assert.deepEqual(result.applied, [])
  assert.deepEqual(result.needsRestart, ['name', 'listen', 'limits.maxFrameBytes', 'discovery.mdns'])
  assert.deepEqual(result.unchanged, ['limits.maxActive', 'mesh'])
  assert.equal(snapshot(options), before)
  assert.deepEqual(told, [])
})

test('a change that createMesh would refuse changes nothing, with the same error', async () => {
  const { options, told, change } = node()
  const before = snapshot(options)
  for (const changes of [
    { log: 'info', limits: { maxActive: 0 } },
    { log: 'info', limits: { maxActve: 5 } },
    { log: 'info', limits: 5 },
    { log: 'info', timings: { backoffMinMs: 60_000 } },
    { log: 'info', preset: 'moon' },
    { log: 'info', nonsense: 1 },
    5,
  ]) {
    await assert.rejects(change(changes), (error) => isParleyError(error, 'MSG001'), JSON.stringify(changes))
  }
  await assert.rejects(change({ log: 'info', listen: ['/ip4/0.0.0.0/tcp/1'] }), (error) =>
    isParleyError(error, 'SEC001'),
  )
  assert.equal(snapshot(options), before)
  assert.deepEqual(told, [])
})

test('undefined is the default, or what the preset has', async () => {
  const { options, change } = node({ preset: 'wan', timings: { backoffMaxMs: 7_000 }, limits: { maxActive: 5 } })
  const result = await change({ timings: { backoffMaxMs: undefined }, limits: { maxActive: undefined } })
  assert.deepEqual(result.applied, ['timings.backoffMaxMs', 'limits.maxActive'])
  assert.deepEqual([options.timings.backoffMaxMs, options.limits.maxActive], [30_000, 1536])
})

test('another preset needs a restart, and its figures come with it', async () => {
  const { options, change } = node()
  const result = await change({ preset: 'wan', timings: { backoffMaxMs: undefined }, log: 'info' })
  assert.deepEqual(result, { applied: ['log'], needsRestart: ['preset'], unchanged: [] })
  assert.deepEqual([options.preset, options.timings.backoffMaxMs], ['local', 5_000])
})

test('what would not hold without something that needs a restart waits for it', async () => {
  const { options, change } = node({ timings: { backoffMaxMs: 1_000 } })
  // The secret could be left out only once the node listens on loopback.
  const open = node({ secret: makeSecret(), listen: ['/ip4/0.0.0.0/tcp/0'] })
  const weak = await open.change({ secret: 'weak', listen: ['/ip4/127.0.0.1/tcp/0'], log: 'info' })
  assert.deepEqual(weak, { applied: ['log'], needsRestart: ['secret', 'listen'], unchanged: [] })
  const both = await change({ timings: { backoffMinMs: 2_000, backoffMaxMs: 3_000 } })
  assert.deepEqual(both.applied, ['timings.backoffMinMs', 'timings.backoffMaxMs'])
  assert.equal(options.timings.backoffMinMs, 2_000)
})

test('secrets change while the node runs, but a mesh with one does not become one without', async () => {
  const [first, second] = [makeSecret(), makeSecret()]
  const { options, told, change } = node({ secret: first })
  assert.deepEqual((await change({ secret: [second, first] })).applied, ['secret'])
  assert.deepEqual(options.secret, [second, first])
  assert.deepEqual(told, ['trust 2', 'pardon', 'prove'])
  assert.deepEqual((await change({ secret: [second, first] })).unchanged, ['secret'])
  assert.deepEqual((await change({ secret: undefined })).needsRestart, ['secret'])
  assert.deepEqual(options.secret, [second, first])
})

test('whatever changes, each named option is in one list, and only what was applied has changed', async () => {
  const figure = fc.record(
    {
      log: fc.constantFrom('info', 'warn', undefined),
      name: fc.constantFrom('a', 'b'),
      limits: fc.record(
        {
          maxActive: fc.integer({ min: -1, max: 10 }),
          partBytes: fc.integer({ min: 1024, max: 200_000 }),
          maxFrameBytes: fc.integer({ min: 1024, max: 200_000 }),
        },
        { requiredKeys: [] },
      ),
      timings: fc.record(
        { backoffMinMs: fc.integer({ min: 10, max: 9_000 }), backoffMaxMs: fc.integer({ min: 10, max: 9_000 }) },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(figure, { maxLength: 4 }), async (list) => {
      const { options, change } = node()
      for (const changes of list) {
        const before = JSON.parse(snapshot(options))
        const result = await change(changes).catch((error: unknown) => {
          assert.ok(isParleyError(error, 'MSG001'))
          return undefined
        })
        const after = JSON.parse(snapshot(options))
        const moved = ['log', 'name', 'limits.maxActive', 'limits.partBytes', 'limits.maxFrameBytes'].filter((path) => {
          const value = (tree: unknown) =>
            path.split('.').reduce((inner, name) => Reflect.get(Object(inner), name), tree)
          return value(before) !== value(after)
        })
        if (result === undefined) assert.deepEqual(after, before)
        else for (const path of moved) assert.ok(result.applied.includes(path), path)
        assert.ok(after.timings.backoffMinMs <= after.timings.backoffMaxMs)
      }
    }),
    { numRuns: 60 },
  )
})
