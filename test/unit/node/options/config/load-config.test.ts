import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeSecret } from '../../../../../node/index.ts'
import { readEnvironment, variableOf } from '../../../../../node/options/config/environment.ts'
import { dotted, leafShapes } from '../../../../../node/options/config/key-shape.ts'
import { keySpace } from '../../../../../node/options/config/key-space.ts'
import { loadConfig } from '../../../../../node/options/config/load-config.ts'
import type { Setting } from '../../../../../node/options/config/setting-layer.ts'
import { originOfValue, shownValues } from '../../../../../node/options/config/shown-values.ts'
import { parseConfigFile } from '../../../../../node/options/config/yaml-file.ts'
import { isParleyError, type ParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'

type Given = { file?: string; env?: Record<string, string>; flags?: Setting[] }

const failure = async (run: () => unknown): Promise<ParleyError> => {
  try {
    await run()
  } catch (error) {
    assert.ok(isParleyError(error), String(error))
    return error
  }
  throw new Error('it did not fail')
}

/** Loads a file of this text, and these variables. */
const given = async (folder: string, { file, env = {}, flags = [] }: Given) => {
  if (file !== undefined) await writeFile(join(folder, 'parley.yaml'), file)
  return loadConfig({ cwd: folder, env, flags })
}

const placesOf = (loaded: Awaited<ReturnType<typeof loadConfig>>): Record<string, [unknown, string]> =>
  Object.fromEntries(shownValues(loaded).map((row) => [row.key, [row.value, originOfValue(row)]]))

test('each value knows its flag, its variable, or its file and line', async (context) => {
  const folder = await testFolder(context)
  const file = `name: alpha
mesh: &mesh demo
preset: wan
labels:
  zone: a
  mesh: *mesh
limits:
  max_connections: 10
  max_in_flight: 20
communication:
  flow_control: {window_size: 7}
`
  const env = { PARLEY_LIMITS__MAX_IN_FLIGHT: '21', PARLEY_LABELS__ZONE: 'b', PARLEY_DEBUG: 'false' }
  const flags: Setting[] = [{ path: ['mesh'], value: 'other', origin: { kind: 'flag', name: '--mesh' } }]
  const places = placesOf(await given(folder, { file, env, flags }))
  assert.deepEqual(places.name, ['alpha', 'parley.yaml:1'])
  assert.deepEqual(places.mesh, ['other', '--mesh'])
  assert.deepEqual(places['labels.zone'], ['b', 'PARLEY_LABELS__ZONE'])
  assert.deepEqual(places['labels.mesh'], ['demo', 'parley.yaml:6'])
  assert.deepEqual(places['limits.max_connections'], [10, 'parley.yaml:8'])
  assert.deepEqual(places['limits.max_in_flight'], [21, 'PARLEY_LIMITS__MAX_IN_FLIGHT'])
  assert.deepEqual(places['delivery.window'], [7, 'parley.yaml:11 (flow_control.window_size)'])
  assert.deepEqual(places['timings.dial_timeout_ms'], [15_000, 'preset wan'])
  assert.deepEqual(places['timings.drain_ms'], [5_000, 'default'])
  assert.deepEqual(places.debug, [false, 'PARLEY_DEBUG'])
})

test('transports may be a map or a list of types, as the seed has them', async (context) => {
  const folder = await testFolder(context)
  const list =
    'communication:\n  transports:\n    - type: websocket\n      ssl: false\n      port: 0\n    - {type: tcp, port: 0}\n'
  const map = 'transports:\n  tcp: {port: 0}\n  websocket:\n    port: 0\n    ssl: false\n'
  const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws']
  assert.deepEqual((await given(folder, { file: list })).options.listen, listen)
  assert.deepEqual((await given(folder, { file: map })).options.listen, listen)
  const both = await failure(() => given(folder, { file: 'transports:\n  - type: carrier\n  - tcp\n' }))
  assert.match(both.message, /parley\.yaml:2: transports: an item of type "carrier"/)
  assert.match(both.hint ?? '', /known types are tcp, websocket, udp/)
  const twice = await failure(() =>
    given(folder, { file: 'transports:\n  - type: tcp\n    port: 1\n  - type: tcp\n    port: 2\n' }),
  )
  assert.match(twice.message, /parley\.yaml:5: transports\.tcp\.port: is given already, at parley\.yaml:3/)
})

test('what cannot be used in a file is named with path and line, and what was probably meant', async (context) => {
  const folder = await testFolder(context)
  const cases: [string, RegExp, RegExp][] = [
    ['limts:\n  max_connections: 3\n', /parley\.yaml:1: limts: unknown key/, /did you mean limits\?/],
    ['limits:\n  max_conections: 3\n', /:2: limits\.max_conections: unknown key/, /limits\.max_connections\?/],
    ['maxConnections: 3\n', /:1: maxConnections: unknown key/, /./],
    ['max_connections: 3\n', /:1: max_connections: unknown key/, /did you mean limits\.max_connections\?/],
    ['name: a\nlimits:\n  max_connections: "3"\n', /:3: limits\.max_connections: .*number.*string/, /reference/],
    ['limits:\n  max_connections: 0\n', /:2: limits\.max_connections: .*>=1/, /./],
    ['limits: 3\n', /:1: limits: is a section/, /known are max_message_bytes/],
    ['name:\n', /:1: name: has no value/, /take the line out/],
    ['name: a\nname: b\n', /:2: Map keys must be unique/, /YAML/],
    ['name: a\n  mesh: b\n', /parley\.yaml:\d: /, /YAML/],
    ['- a\n', /:1: it is no map/, /YAML/],
    ['name: a\n---\nname: b\n', /:\d: .*multiple documents/, /YAML/],
    [
      'a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c]\n',
      /lias/,
      /YAML/,
    ],
    ['join: /ip4/127.0.0.1/tcp/1\n', /:1: join: .*array/, /./],
    ['join:\n  - /ip4/127.0.0.1/tcp/1\n  - nonsense\n', /:1: join\.1: "nonsense" is no multiaddress/, /./],
    ['events:\n  history:\n    - {topic: tasks, max_byte: 1}\n', /:2: events\.history\.max_byte: unknown key/, /./],
    ['serve: 5\n', /:1: serve: .*array/, /./],
    ['log: loud\n', /:1: log: use silent/, /./],
    ['coordination:\n  commands: []\n', /coordination\.commands: unknown key/, /./],
    ['__proto__:\n  name: a\n', /__proto__: unknown key/, /./],
    ['communication:\n  nonsense: 1\n', /:2: nonsense: unknown key/, /./],
    ['communication:\n  flow_control: {window_size: 1}\nflow_control: {window_size: 2}\n', /beside it/, /./],
  ]
  for (const [file, message, hint] of cases) {
    const error = await failure(() => given(folder, { file }))
    assert.equal(error.code, 'MSG001', file)
    assert.match(error.message, message, file)
    assert.match(error.hint ?? '', hint, file)
  }
  const all = await failure(() => given(folder, { file: 'nmae: a\nmsh: b\n', env: { PARLEY_NMAE: 'c' } }))
  assert.equal(Array.isArray(all.details.issues) && all.details.issues.length, 3)
})

test('an empty file is a configuration, and one beyond a mebibyte is not', async (context) => {
  const folder = await testFolder(context)
  assert.equal((await given(folder, { file: '' })).file, 'parley.yaml')
  assert.equal((await given(folder, { file: '# nothing\n' })).options.mesh, 'parley')
  assert.equal((await given(folder, { file: `#${'x'.repeat(2 ** 20 - 1)}` })).options.mesh, 'parley')
  const error = await failure(() => given(folder, { file: `#${'x'.repeat(2 ** 20)}` }))
  assert.match(error.message, /more than 1048576 bytes/)
})

test('the file is the one that was named, else parley.yaml here, else that of PARLEY_CONFIG', async (context) => {
  const folder = await testFolder(context)
  await writeFile(join(folder, 'a.yaml'), 'name: a')
  await writeFile(join(folder, 'b.yaml'), 'name: b')
  const env = { PARLEY_CONFIG: 'b.yaml' }
  assert.equal((await loadConfig({ cwd: folder, env: {} })).file, undefined)
  assert.equal((await loadConfig({ cwd: folder, env })).options.name, 'b')
  assert.equal((await loadConfig({ cwd: folder, env, config: 'a.yaml' })).options.name, 'a')
  await writeFile(join(folder, 'parley.yaml'), 'name: c')
  const both = await loadConfig({ cwd: folder, env })
  assert.equal(both.options.name, 'c')
  assert.match(both.notices[0] ?? '', /not b\.yaml/)
  const none = await failure(() => loadConfig({ cwd: folder, env: {}, config: 'none.yaml' }))
  assert.match(none.message, /none\.yaml does not exist/)
})

test('variables are read as what the schema wants', () => {
  const read = (env: Record<string, string>) =>
    readEnvironment(env).entries.map(({ path, value }) => [dotted(path), value])
  assert.deepEqual(read({ PARLEY_LIMITS__MAX_CONNECTIONS: '12' }), [['limits.max_connections', 12]])
  assert.deepEqual(read({ PARLEY_DISCOVERY__MDNS: 'true' }), [['discovery.mdns', true]])
  assert.deepEqual(read({ PARLEY_JOIN: '/a, /b' }), [['join', ['/a', '/b']]])
  assert.deepEqual(read({ PARLEY_JOIN: '["/a"]' }), [['join', ['/a']]])
  assert.deepEqual(read({ PARLEY_NAME: '12' }), [['name', '12']])
  assert.deepEqual(read({ PARLEY_DEBUG: '9000' }), [['debug', 9000]])
  assert.deepEqual(read({ PARLEY_DEBUG__PORT: '9000' }), [['debug.port', 9000]])
  assert.deepEqual(read({ PARLEY_LABELS: 'zone=a,gpu=b=c' }), [
    ['labels.zone', 'a'],
    ['labels.gpu', 'b=c'],
  ])
  assert.deepEqual(read({ PARLEY_LABELS: '{"zone":"a"}' }), [['labels.zone', 'a']])
  assert.deepEqual(read({ PARLEY_FLOW_CONTROL__BATCH_TIMEOUT: '10ms' }), [['flow_control.batch_timeout', '10ms']])
  assert.deepEqual(read({ PARLEY_SECRET: '[1]' }), [['secret', '[1]']])
  assert.deepEqual(read({ PARLEY_SECRET_FILE: 'a,b' }), [['secret_file', 'a,b']])
  assert.deepEqual(read({ PARLEY_NAME: '', OTHER: 'x' }), [])
})

test('each key that takes one value has a variable of its own', () => {
  const leaves = leafShapes(keySpace().all).filter(({ kind }) => kind === 'leaf')
  assert.ok(leaves.length > 100)
  for (const { path } of leaves) {
    const { entries, issues } = readEnvironment({ [variableOf(path)]: '1' })
    assert.deepEqual(issues, [])
    assert.deepEqual(entries[0]?.path, path)
  }
})

test('a variable that names no key is refused, with the nearest one; those of others are left alone', async () => {
  const error = await failure(() => loadConfig({ cwd: '/', env: { PARLEY_LIMTS__MAX_CONNECTIONS: '3' } }))
  assert.match(error.message, /PARLEY_LIMTS__MAX_CONNECTIONS: limts\.max_connections: unknown key/)
  assert.match(error.hint ?? '', /did you mean PARLEY_LIMITS__MAX_CONNECTIONS\?/)
  const group = await failure(() => loadConfig({ cwd: '/', env: { PARLEY_LIMITS: '{}' } }))
  assert.match(group.message, /PARLEY_LIMITS: limits: unknown key/)
  const type = await failure(() => loadConfig({ cwd: '/', env: { PARLEY_LIMITS__MAX_CONNECTIONS: 'x' } }))
  assert.match(type.message, /PARLEY_LIMITS__MAX_CONNECTIONS: limits\.max_connections: .*string/)
  const kubernetes = {
    PARLEY_SERVICE_HOST: '10.0.0.1',
    PARLEY_SERVICE_PORT: '8081',
    PARLEY_SERVICE_PORT_MESH: '8081',
    PARLEY_PORT: 'tcp://10.0.0.1:8081',
    PARLEY_PORT_8081_TCP: 'tcp://10.0.0.1:8081',
    PARLEY_PORT_8081_TCP_ADDR: '10.0.0.1',
    PARLEY_SEED_SERVICE_HOST: '10.0.0.2',
    PARLEY_SEED_PORT: 'tcp://10.0.0.2:8081',
  }
  assert.deepEqual(readEnvironment(kubernetes), { entries: [], issues: [] })
  assert.equal(readEnvironment({ PARLEY_DEBUG_PORT: '9000' }).issues.length, 1)
})

test('a secret comes from a file of its own, from a variable, or from two while it is changed', async (context) => {
  const folder = await testFolder(context)
  const [first, second, third] = [makeSecret(), makeSecret(), makeSecret()]
  await mkdir(join(folder, 'etc'))
  await writeFile(join(folder, 'etc/one.key'), `${first}\n`, { mode: 0o600 })
  await writeFile(join(folder, 'two.key'), second, { mode: 0o600 })
  await writeFile(join(folder, 'etc/parley.yaml'), 'secret_file: one.key\n')
  const secrets = async (env: Record<string, string>, config = 'etc/parley.yaml') =>
    (await loadConfig({ cwd: folder, env, config })).options.secret
  assert.deepEqual(await secrets({}), [first])
  assert.deepEqual(await secrets({ PARLEY_SECRET_FILE: 'two.key' }), [second])
  assert.deepEqual(await secrets({ PARLEY_SECRET: third, PARLEY_SECRET_FILE: 'two.key' }), [third])
  assert.deepEqual(await secrets({ PARLEY_SECRET_OLD: third }), [first, third])
  assert.deepEqual(await secrets({ PARLEY_SECRET: third, PARLEY_SECRET_OLD_FILE: 'two.key' }), [third, second])
  await writeFile(join(folder, 'both.yaml'), 'secret_file: [etc/one.key, two.key]\n')
  assert.deepEqual(await secrets({}, 'both.yaml'), [first, second])
  await writeFile(join(folder, 'plain.yaml'), `secret: ${first}\nsecret_file: two.key\n`, { mode: 0o600 })
  assert.match((await failure(() => secrets({}, 'plain.yaml'))).message, /secret_file: contradicts secret/)
  await writeFile(join(folder, 'plain.yaml'), `secret: ${first}\n`)
  assert.deepEqual(await secrets({}, 'plain.yaml'), [first])
})

test('a secret that others can read is refused, and none is ever shown', async (context) => {
  const folder = await testFolder(context)
  const secret = makeSecret()
  await writeFile(join(folder, 'open.key'), secret)
  await chmod(join(folder, 'open.key'), 0o644)
  const env = { PARLEY_SECRET_FILE: 'open.key' }
  const readable = await failure(() => loadConfig({ cwd: folder, env }))
  assert.equal(readable.code, 'SEC001')
  await writeFile(join(folder, 'parley.yaml'), `secret: ${secret}\n`)
  await chmod(join(folder, 'parley.yaml'), 0o640)
  const inFile = await failure(() => loadConfig({ cwd: folder, env: {} }))
  assert.equal(inFile.code, 'SEC001')
  assert.match(inFile.hint ?? '', /chmod 600 parley\.yaml/)
  await chmod(join(folder, 'parley.yaml'), 0o600)
  const loaded = await loadConfig({ cwd: folder, env: {} })
  assert.ok(!JSON.stringify(shownValues(loaded)).includes(secret))
  const wrong = await failure(() => loadConfig({ cwd: folder, env: { PARLEY_NMAE: 'x', PARLEY_SECRET: secret } }))
  assert.ok(!JSON.stringify([wrong.message, wrong.hint, wrong.details]).includes(secret))
})

test('files that a configuration names are found from where it is, those of variables from the working directory', async (context) => {
  const folder = await testFolder(context)
  await mkdir(join(folder, 'etc'))
  await writeFile(
    join(folder, 'etc/parley.yaml'),
    'data_dir: data\nserve: [agent.ts, /abs/agent.ts]\nparts: [poll.ts]\n',
  )
  const loaded = await loadConfig({ cwd: folder, env: {}, config: 'etc/parley.yaml' })
  assert.equal(loaded.input.dataDir, join(folder, 'etc/data'))
  assert.deepEqual(loaded.serve, [join(folder, 'etc/agent.ts'), '/abs/agent.ts'])
  assert.deepEqual(loaded.parts, [join(folder, 'etc/poll.ts')])
  const env = { PARLEY_DATA_DIR: 'data', PARLEY_SERVE: 'agent.ts' }
  const ofEnv = await loadConfig({ cwd: folder, env, config: 'etc/parley.yaml' })
  assert.deepEqual([ofEnv.input.dataDir, ofEnv.serve], ['data', ['agent.ts']])
})

test('whatever a file says, the outcome is entries or a ParleyError with a line', () => {
  const word = fc.constantFrom(
    'name',
    'limits',
    'max_connections',
    'transports',
    'tcp',
    '- ',
    ': ',
    '\n',
    '  ',
    '&a',
    '*a',
    '[',
    '{',
    '1',
    '"',
    '<<',
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 20 }), (words) => {
      try {
        parseConfigFile(words.join(''), 'x.yaml')
      } catch (error) {
        assert.ok(isParleyError(error, 'MSG001'), String(error))
        assert.match(error.message, /x\.yaml:\d+: /)
      }
    }),
    { numRuns: 300 },
  )
})
