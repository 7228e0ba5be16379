/** The configuration as a person meets it: the command `parley` in folders of its own. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as z from 'zod'
import { makeSecret } from '../../node/index.ts'
import { readNodes } from '../../node/store/data-directory.ts'
import {
  type CommandOptions,
  type Ended,
  firstLine,
  type Running,
  runCommand,
  startCommand,
} from '../support/command.ts'
import { until } from '../support/until.ts'

const Up = z.object({ id: z.string(), name: z.string(), addresses: z.array(z.string()), debugUrl: z.string() })
const Shown = z.object({
  file: z.string().nullable(),
  values: z.array(
    z.object({ key: z.string(), value: z.unknown().optional(), hidden: z.boolean().optional(), origin: z.unknown() }),
  ),
})

describe('the configuration of the command parley', { timeout: 120_000 }, () => {
  let root: string
  const started: Running[] = []
  const run = (cwd: string, args: string[], options: Partial<CommandOptions> = {}): Promise<Ended> =>
    runCommand(args, { cwd, ...options })
  const folder = (name: string): Promise<string> => mkdtemp(join(root, `${name}-`))
  const up = async (cwd: string, args: string[] = [], options: Partial<CommandOptions> = {}) => {
    const running = startCommand(['up', '--json', ...args], { cwd, ...options })
    started.push(running)
    return { running, facts: Up.parse(JSON.parse(await firstLine(running))) }
  }
  const said = (running: Running, what: RegExp): Promise<unknown> =>
    until(String(what), () => what.test(running.stderr()))
  const leave = async (running: Running): Promise<void> => {
    running.child.kill('SIGINT')
    assert.equal((await running.ended).code, 0)
  }

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'parley-config-'))
  })
  after(async () => {
    for (const { child, ended } of started) {
      child.kill('SIGKILL')
      await ended
    }
    await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  })

  test('what init writes works at once, and init never overwrites by itself', async () => {
    const cwd = await folder('init')
    const made = await run(cwd, ['init'], { env: { npm_command: 'exec' } })
    assert.equal(made.code, 0, made.stderr)
    assert.match(made.stdout, /\.gitignore/)
    assert.match(made.stdout, /^start a node: npx parley up$/m, 'as npx was what found it')
    assert.equal((await stat(join(cwd, 'parley.secret'))).mode & 0o777, 0o600)
    const [config, secret] = await Promise.all(
      ['parley.yaml', 'parley.secret'].map((name) => readFile(join(cwd, name), 'utf8')),
    )
    const [again, { running, facts }] = await Promise.all([run(cwd, ['init']), up(cwd)])
    assert.equal(again.code, 1)
    assert.match(again.stderr, /parley\.yaml exists already.*\nhint: .*--force/)
    assert.equal(facts.name, 'node')
    assert.doesNotMatch(running.stderr(), /no secret/)
    await writeFile(join(cwd, 'parley.yaml'), 'mesh: changed\n')
    const [forced] = await Promise.all([run(cwd, ['init', '--force', '--json']), leave(running)])
    assert.deepEqual(JSON.parse(forced.stdout), { config: 'parley.yaml', secret: 'parley.secret', madeSecret: false })
    const verified = await run(cwd, ['store', 'verify'])
    assert.equal(verified.code, 0, `the only node of the folder: ${verified.stderr}`)
    assert.match((await run(cwd, ['store', 'repair'])).stderr, /the node is not named.*\nhint: .*there is node$/m)
    assert.equal(await readFile(join(cwd, 'parley.yaml'), 'utf8'), config)
    assert.equal(await readFile(join(cwd, 'parley.secret'), 'utf8'), secret)
  })

  test('up takes flags over variables over the file, and config show says so', async () => {
    const cwd = await folder('layers')
    await mkdir(join(cwd, 'etc'))
    const file =
      'name: filed\nmesh: filed\nlimits: {max_connections: 9}\nlabels: {zone: filed}\ntransports: {tcp: {port: 0}}\n'
    await writeFile(join(cwd, 'etc/parley.yaml'), file)
    const env = { PARLEY_MESH: 'enved', PARLEY_LABELS__ZONE: 'enved', PARLEY_CONFIG: 'etc/parley.yaml' }
    const [shown, text, { running, facts }] = await Promise.all([
      run(cwd, ['config', 'show', '--json'], { env }),
      run(cwd, ['config', 'show', '--config', 'etc/parley.yaml', '--defaults'], {
        env: { PARLEY_SECRET: makeSecret() },
      }),
      up(cwd, ['--config', 'etc/parley.yaml', '--label', 'zone=flagged', '--debug-port', '0'], {
        env: { ...env, PARLEY_HEALTH__PORT: '0' },
      }),
    ])
    const { values, file: used } = Shown.parse(JSON.parse(shown.stdout))
    const where = Object.fromEntries(values.map(({ key, value, origin }) => [key, [value, origin]]))
    assert.equal(used, 'etc/parley.yaml')
    assert.deepEqual(where.name, ['filed', { kind: 'file', path: 'etc/parley.yaml', line: 1 }])
    assert.deepEqual(where.mesh, ['enved', { kind: 'environment', name: 'PARLEY_MESH' }])
    assert.deepEqual(where['limits.max_connections'], [9, { kind: 'file', path: 'etc/parley.yaml', line: 3 }])
    assert.deepEqual(where['labels.zone'], ['enved', { kind: 'environment', name: 'PARLEY_LABELS__ZONE' }])
    assert.match(text.stdout, /^secret +\(not shown\) +PARLEY_SECRET$/m)
    assert.match(text.stdout, /^timings\.drain_ms +3000 +default$/m)
    assert.equal(facts.name, 'filed')
    const self = await fetch(`${facts.debugUrl}/api/self`).then((response) => response.json())
    assert.equal(Reflect.get(Object(self), 'mesh'), 'enved')
    const agents = JSON.stringify(await fetch(`${facts.debugUrl}/api/agents`).then((response) => response.json()))
    assert.match(agents, /"zone":"flagged"/)
    // Switched on by its variable, and told of in node.json.
    const [node] = await readNodes(join(cwd, '.parley'))
    assert.notEqual(node?.healthUrl, facts.debugUrl)
    const metrics = await fetch(`${node?.healthUrl}/metrics`).then((response) => response.text())
    assert.match(metrics, /^parley_ready 1$/m)
    assert.match(metrics, /^process_resident_memory_bytes \d+$/m)
    assert.equal((await fetch(`${node?.healthUrl}/api/self`)).status, 404)
    await leave(running)
  })

  test('what joins for a moment takes the mesh, its secret and its members from the configuration', async () => {
    const home = await folder('home')
    assert.equal((await run(home, ['init'])).code, 0)
    const { running, facts } = await up(home)
    // In the same folder nothing has to be named: the node that runs here is the way in.
    const served = startCommand(['serve', 'shout', '--json', '--command', 'tr', '--', 'a-z', 'A-Z'], { cwd: home })
    started.push(served)
    const mesh = z.object({ mesh: z.string() }).parse(JSON.parse(await firstLine(served))).mesh
    // Elsewhere the file says everything.
    const away = await folder('away')
    const secret = join(home, 'parley.secret')
    const [address = ''] = facts.addresses
    const file = (secretFile: string): string => `mesh: ${mesh}\nsecret_file: ${secretFile}\njoin: ['${address}']\n`
    await writeFile(join(away, 'parley.yaml'), file(secret))
    await writeFile(join(away, 'other.yaml'), file('other.secret'))
    await writeFile(join(away, 'other.secret'), `${makeSecret()}\n`, { mode: 0o600 })
    await writeFile(join(away, 'wrong.yaml'), 'mseh: x\n')
    const call = ['call', 'shout.run', '"hello"']
    const at = ['--join', address]
    const late = startCommand(['serve', 'late', '--json', '--command', 'true'], { cwd: away })
    started.push(late)
    const [byFile, byFlag, chosen, flagged, misspelt, refused] = await Promise.all([
      firstLine(late),
      run(away, [...call, ...at]),
      run(home, [...call, ...at, '--config', join(away, 'parley.yaml')]),
      run(away, [...call, ...at, '--config', 'other.yaml', '--secret-file', secret]),
      run(away, [...call, ...at, '--config', 'wrong.yaml']),
      run(away, [...call, ...at, '--config', 'other.yaml']),
    ])
    for (const one of [byFlag, chosen, flagged]) assert.equal(one.stdout, '"HELLO"\n', one.stderr)
    assert.match(byFile, /"late\.run"/)
    assert.equal(misspelt.code, 2)
    assert.match(misspelt.stderr, /wrong\.yaml:1: mseh: unknown key[\s\S]*did you mean mesh\?/)
    assert.equal(refused.code, 4, refused.stderr)
    for (const one of [served, late, running]) await leave(one)
  })

  test('what cannot be used is named with its place and exits 2; check says it of a file by itself', async () => {
    const cwd = await folder('bad')
    await writeFile(join(cwd, 'bad.yaml'), 'limts:\n  max_connections: 3\n')
    await writeFile(join(cwd, 'good.yaml'), 'limits:\n  max_connections: 3\ntransports: {websocket: {port: 0}}\n')
    await writeFile(join(cwd, 'off.yaml'), 'security: {encryption_enabled: false}\n')
    const env = { PARLEY_LIMTS__MAX_CONNECTIONS: '3' }
    const [bad, off, variable, none, good, started, reference, shown, nowhere] = await Promise.all([
      run(cwd, ['config', 'check', 'bad.yaml']),
      run(cwd, ['up', '--config', 'off.yaml']),
      run(cwd, ['up'], { env }),
      run(cwd, ['up', '--config', 'none.yaml']),
      run(cwd, ['config', 'check', 'good.yaml'], { env }),
      run(cwd, ['config', 'show'], {}),
      run(cwd, ['config', 'reference']),
      run(cwd, ['config', 'show'], { env }),
      run(cwd, ['init', '--dir', 'bad.yaml/below']),
    ])
    assert.deepEqual([bad.code, off.code, variable.code, none.code, good.code], [2, 2, 2, 2, 0])
    assert.deepEqual([shown.code, nowhere.code], [2, 1])
    assert.match(nowhere.stderr, /^error STA003: making the folder bad\.yaml\/below failed/)
    assert.match(bad.stderr, /^error MSG001: .*bad\.yaml:1: limts: unknown key\nhint: limts: did you mean limits\?\n/)
    assert.match(
      off.stderr,
      /off\.yaml:1: security\.encryption_enabled: only true can be had: it cannot be switched off/,
    )
    assert.match(variable.stderr, /did you mean PARLEY_LIMITS__MAX_CONNECTIONS\?/)
    assert.match(none.stderr, /none\.yaml does not exist\nhint: parley init/)
    assert.match(good.stdout, /good\.yaml can be used: it sets 2 options/)
    assert.match(good.stderr, /stays ws/)
    assert.equal(started.stdout, 'everything is at its default; parley config show --defaults lists it\n')
    const kept = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
    const [, ...sections] = reference.stdout.split('\n## ')
    for (const section of sections) assert.ok(kept.includes(section.trim()), 'write it anew: npm run docs')
  })

  test('SIGHUP applies a level, a limit and a secret, names what needs a restart, and a bad file changes nothing', async () => {
    const cwd = await folder('hup')
    const [old, next] = [makeSecret(), makeSecret()]
    await Promise.all([
      writeFile(join(cwd, 'old.key'), old, { mode: 0o600 }),
      writeFile(join(cwd, 'new.key'), next, { mode: 0o600 }),
      // As npm makes it: Node finds out by itself that the agent is a module, and would say so.
      writeFile(join(cwd, 'package.json'), '{}'),
      writeFile(join(cwd, 'agent.ts'), 'const offers: string[] = []\nexport default { offers }\n'),
      writeFile(join(cwd, 'parley.yaml'), 'name: first\nsecret_file: old.key\nserve: [agent.ts]\n'),
    ])
    const { running: first, facts } = await up(cwd)
    const [address = ''] = facts.addresses
    const joining = ['--name', 'second', '--join', address, '--secret-file', 'new.key', '--config', 'none.yaml']
    await writeFile(join(cwd, 'none.yaml'), 'timings: {backoff_max_ms: 500}\n')
    const refused = await run(cwd, ['up', ...joining])
    assert.equal(refused.code, 4, refused.stderr)
    assert.match(refused.stderr, /nobody lets this node in, and asking again would not help/)

    await writeFile(join(cwd, 'parley.yaml'), 'name: first\nsecret_file: [new.key, old.key]\nlimts: {max_active: 3}\n')
    first.child.kill('SIGHUP')
    await said(first, /parley\.yaml:3: limts: unknown key(.|\n)*goes on as it was/)

    assert.doesNotMatch(first.stderr(), /"level":"info"/)
    const file =
      'name: first\nsecret_file: [new.key, old.key]\nserve: [agent.ts]\nlog: info\nlimits: {max_active: 3}\nlisten: []\n'
    await writeFile(join(cwd, 'parley.yaml'), file)
    first.child.kill('SIGHUP')
    await said(first, /needs a restart: listen\n/)
    for (const applied of [/applied [^\n;]*secret/, /applied [^\n;]*log/, /applied [^\n;]*limits\.max_active/])
      assert.match(first.stderr(), applied)
    const { running: second, facts: joined } = await up(cwd, joining)
    await until('it is let in by the new secret', async () =>
      (await (await fetch(`${joined.debugUrl}/api/peers`)).text()).includes('"first"'),
    )
    await leave(second)
    await said(first, /"level":"info"/)

    await writeFile(join(cwd, 'agent.ts'), 'const offers: string[] = []\nexport default { offers } // edited\n')
    first.child.kill('SIGHUP')
    await said(first, /needs a restart: listen, serve \(agent\.ts was edited, and runs as it was\)\n/)

    await rm(join(cwd, 'new.key'))
    first.child.kill('SIGHUP')
    await said(first, /new\.key does not exist/)
    assert.doesNotMatch(first.stderr(), /Warning/)
    await leave(first)
  })

  test('up has the parts whose modules are named, with their options, and takes new ones while it runs', async () => {
    const cwd = await folder('parts')
    const module = `
import { z } from '${import.meta.resolve('zod')}'
import { definePart, implementPart } from '${new URL('../../node/index.ts', import.meta.url).href}'
const implementation = implementPart({
  start: (_, options) => {
    let word = options.word
    return { api: {}, views: { word: () => ({ columns: ['word'], rows: [[word]] }) }, reload: (next) => { word = next.word; return 'applied' } }
  },
})
export default definePart({
  name: 'acme/greeter', description: 'Greets.', activate: 'start', options: z.strictObject({ word: z.string().default('Hello') }),
  views: { word: { title: 'Word', form: 'table' } }, load: async () => ({ default: implementation }),
})
`
    const configuration = (word: string): Promise<void> =>
      writeFile(join(cwd, 'parley.yaml'), `parts: [greeter.mjs]\npart_options:\n  acme/greeter: {word: ${word}}\n`)
    const shown = async (word: string): Promise<boolean> =>
      new RegExp(word).test((await run(cwd, ['parts', 'acme/greeter', 'word'])).stdout)
    const check = (): Promise<Ended> => run(cwd, ['config', 'check', 'parley.yaml'])
    await configuration('Ciao')
    const missing = await check()
    assert.equal(missing.code, 2)
    assert.match(missing.stderr, /greeter\.mjs cannot be loaded/)
    const early = await run(cwd, ['up'])
    assert.equal(early.code, 2)
    assert.match(early.stderr, /greeter\.mjs cannot be loaded/)
    await writeFile(join(cwd, 'greeter.mjs'), module)
    const good = await check()
    assert.deepEqual([good.code, good.stderr], [0, ''])
    await configuration('[1]')
    const bad = await check()
    assert.equal(bad.code, 2)
    assert.match(bad.stderr, /^error MSG001: the options of the part acme\/greeter cannot be used: word: /)
    const refused = await run(cwd, ['up'])
    assert.equal(refused.code, 2)
    assert.ok(refused.stderr.endsWith(bad.stderr), refused.stderr)
    await writeFile(join(cwd, 'parley.yaml'), 'parts: [greeter.mjs]\npart_options:\n  acme/greter: {}\n')
    assert.match((await check()).stderr, /did you mean acme\/greeter/)
    await configuration('Ciao')
    const { running } = await up(cwd)
    assert.ok(await shown('Ciao'))
    await configuration('Salve')
    running.child.kill('SIGHUP')
    await said(running, /applied part_options\.acme\/greeter; needs a restart: nothing/)
    assert.ok(await shown('Salve'))
    await writeFile(join(cwd, 'greeter.mjs'), `${module}// edited\n`)
    running.child.kill('SIGHUP')
    await said(running, /needs a restart: parts \(greeter\.mjs was edited, and runs as it was\)/)
    await leave(running)
    const wrong = await run(cwd, ['up', '--part', 'parley.yaml'])
    assert.equal(wrong.code, 2)
    assert.match(wrong.stderr, /the part module parley\.yaml cannot be loaded/)
  })
})
