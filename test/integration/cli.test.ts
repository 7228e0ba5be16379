/** The command `parley` as people and programs run it: real processes, good and bad input. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as z from 'zod'
import {
  assertError,
  type CommandFolder,
  commandFolder,
  type Ended,
  firstLine,
  jsonLines,
  type Running,
} from '../support/command.ts'
import { programOf } from '../support/program.ts'
import { until } from '../support/until.ts'

const AGENT = programOf('test/support/agents/toil.ts')

const Up = z.strictObject({
  id: z.string(),
  name: z.string(),
  addresses: z.array(z.string()).min(1),
  debugUrl: z.url(),
  pid: z.number(),
})

describe('the command parley', { timeout: 90_000 }, () => {
  let folder: string
  let commands: CommandFolder
  const parley: CommandFolder['parley'] = (...given) => commands.parley(...given)
  const start: CommandFolder['start'] = (...given) => commands.start(...given)
  const up = async (...args: string[]): Promise<{ running: Running; facts: z.output<typeof Up> }> => {
    const running = start(['up', '--json', ...args])
    return { running, facts: Up.parse(JSON.parse(await firstLine(running))) }
  }
  const leave = (running: Running): Promise<Ended> => {
    running.child.kill('SIGINT')
    return running.ended
  }

  before(async () => {
    commands = await commandFolder()
    folder = commands.path
  })
  after(() => commands.end())

  test('an old Node is told so in one sentence, before anything else is loaded', async () => {
    const old = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.17.1' } })`
    const nodeOptions = ['--import', `data:text/javascript,${encodeURIComponent(old)}`]
    const ended = await parley(['--version'], { nodeOptions })
    assert.equal(ended.code, 1)
    assert.match(ended.stderr, /^parley needs Node 22\.18 or newer and this is Node 22\.17\.1: [^\n]+\n$/)
    assert.equal(ended.stdout, '')
  })

  test('help lists the commands and the exit codes; nothing at all is a usage error', async () => {
    const [help, none, version] = await Promise.all([parley(['up', '--help']), parley([]), parley(['--version'])])
    assert.equal(help.code, 0)
    for (const part of ['--secret-file', '--serve', 'PARLEY_SECRET', 'Exit codes:'])
      assert.ok(help.stdout.includes(part))
    assert.equal(none.code, 2)
    assert.match(none.stderr, /Commands:/)
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
  })

  test('what cannot be used is named, with what was probably meant, and exits 2', async () => {
    const cases: [string[], RegExp, RegExp][] = [
      [['upp'], /unknown command 'upp'/, /did you mean up\?/],
      [['help', 'agnets'], /unknown command 'agnets'/, /did you mean agents\?/],
      [['coordinator', 'statsu'], /unknown command 'statsu'/, /did you mean status\?/],
      [['serve', 'echo'], /required option '--command <program>'/, /--help/],
      [['serve', 'Echo', '--command', 'cat'], /"Echo" cannot be the name of a skill/, /lower case/],
      [['serve', 'echo', '--command', 'there-is-none'], /"there-is-none" is no program/, /PATH/],
      [['top', '--interval', '99'], /'99' is invalid/, /--help/],
      [['up', '--nmae', 'x'], /unknown option '--nmae'/, /did you mean --name\?/],
      [['up', '--debug-port', '65536'], /'65536' is invalid/, /--help/],
      [['up', '--label', 'zone'], /label "zone"/, /name=value/],
      [['up', '--serve', 'there-is-none.ts'], /there-is-none\.ts does not exist/, /defineAgent/],
      [['call', 'echo'], /"echo" names no method/, /PROTOCOL\.METHOD/],
      [['call', 'toil.echo', '{text}'], /the input is not JSON/, /single quotes/],
      [['call', 'toil.echo', '--to', 'a', '--all'], /cannot be used with/, /--help/],
      [['peers', '--url', 'nowhere'], /"nowhere" is no URL/, /http/],
    ]
    await Promise.all(
      cases.map(async ([args, message, hint]) => assertError(await parley(args), 2, 'MSG001', message, hint)),
    )
  })

  test('where there is no node, the command says how to start or name one, and exits 3', async () => {
    const empty = await mkdtemp(join(folder, 'empty-'))
    const cases: [string[], string, RegExp][] = [
      [['peers'], 'COM002', /no node of .+ is running/],
      [['agents', '--node', 'zed'], 'COM002', /no node called zed/],
      [['call', 'toil.echo'], 'COM002', /no node of .+ is running/],
      [['pub', 'news'], 'COM002', /no node of .+ is running/],
      [['sub', 'news', '--node', 'zed'], 'COM002', /no node called zed/],
      [['serve', 'echo', '--command', 'cat'], 'COM002', /no node is running here to join/],
      [['stop', 'zed'], 'COM002', /no node called zed/],
    ]
    await Promise.all(
      cases.map(async ([args, code, message]) => assertError(await parley(args, { cwd: empty }), 3, code, message)),
    )
    const stranger = createServer((_, response) => response.end('{"hello":"world"}'))
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const address = stranger.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      const other = await parley(['peers', '--url', `http://127.0.0.1:${port}`])
      assertError(other, 1, 'MSG003', /is not the debug endpoint of a parley node/)
    } finally {
      stranger.closeAllConnections()
      await new Promise((resolve) => stranger.close(resolve))
    }
    assertError(await parley(['peers', '--url', `http://127.0.0.1:${port}`]), 3, 'COM002', /cannot be reached/)
  })

  test('a secret is printed, or written once to a file of mode 0600', async () => {
    const printed = await parley(['secret'])
    assert.match(printed.stdout, /^parley1-[\w-]{48}\n$/)
    const first = await parley(['secret', '--out', 'new.key'])
    assert.deepEqual([first.code, first.stdout], [0, ''])
    const file = join(folder, 'new.key')
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    const before = await readFile(file, 'utf8')
    assert.match(before, /^parley1-[\w-]{48}\n$/)
    assert.notEqual(before, printed.stdout)
    assertError(await parley(['secret', '--out', 'new.key']), 1, 'STA003', /new\.key exists already/)
    assert.equal(await readFile(file, 'utf8'), before)
  })

  test('what would be open to other machines without a secret is refused, and exits 4', async () => {
    await writeFile(join(folder, 'open.key'), 'x'.repeat(43), { mode: 0o644 })
    const [open, readable] = await Promise.all([
      parley(['up', '--listen', '/ip4/0.0.0.0/tcp/0']),
      parley(['up', '--secret-file', 'open.key']),
    ])
    assertError(open, 4, 'SEC001', /goes beyond this machine/, /parley secret/)
    assertError(readable, 4, 'SEC001', /has mode 0644/, /chmod 600/)
  })

  test('a session: two nodes with a secret, an agent, its views, calls of each kind, a stop', async () => {
    const key = ['--secret-file', 'mesh.key']
    await parley(['secret', '--out', 'mesh.key'])
    const alpha = await up('--name', 'alpha', '--mesh', 'session', ...key, '--serve', AGENT)
    assert.equal(alpha.facts.name, 'alpha')
    assert.equal(alpha.facts.pid, alpha.running.child.pid)
    const [address = ''] = alpha.facts.addresses
    const beta = await up(
      '--name',
      'beta',
      '--mesh',
      'session',
      ...key,
      '--join',
      address,
      '--label',
      'zone=a',
      'gpu=2',
    )

    const call = (...args: string[]): Promise<Ended> => parley(['call', ...args, '--node', 'alpha', ...key])
    await until('beta is in', async () => {
      const agents = await (await fetch(`${alpha.facts.debugUrl}/api/agents`)).text()
      return agents.includes('"beta"')
    })
    const [unary, piped, streamed, all, bytes, table, peers, several] = await Promise.all([
      call('toil.echo', '{"text":"grüß dich 👋"}'),
      parley(['call', 'toil@1.echo', '-', '--join', address, '--mesh', 'session', '--to', alpha.facts.id], {
        input: '{"text":"from a pipe"}',
        env: { PARLEY_SECRET: (await readFile(join(folder, 'mesh.key'), 'utf8')).trim() },
      }),
      call('toil.count', '{"to":3,"bytes":1}', '--json'),
      call('toil.state', '--all'),
      call('toil.mirror', '"AP8="'),
      parley(['agents', '--node', 'beta']),
      parley(['peers', '--url', alpha.facts.debugUrl, '--json']),
      parley(['peers']),
    ]).catch((error: unknown) => assert.fail(String(error)))
    assert.deepEqual(jsonLines(unary.stdout), [{ text: 'grüß dich 👋' }], unary.stderr)
    assert.deepEqual(jsonLines(piped.stdout), [{ text: 'from a pipe' }], piped.stderr)
    assert.equal(jsonLines(all.stdout).length, 1, all.stderr)
    assert.deepEqual(jsonLines(bytes.stdout), ['AP8='], bytes.stderr)
    assert.deepEqual(
      jsonLines(streamed.stdout),
      [1, 2, 3].map((n) => ({ n, fill: 'x' })),
      streamed.stderr,
    )
    for (const part of ['toil 1.2.0', '.count (stream)', '.crash (one-way)', 'zone=a', 'gpu=2']) {
      assert.ok(table.stdout.includes(part), table.stdout)
    }
    const names = z.array(z.object({ name: z.string() })).parse(JSON.parse(peers.stdout))
    assert.ok(names.some(({ name }) => name === 'beta'))
    assertError(several, 2, 'MSG001', /2 nodes are running here: alpha, beta/, /--node alpha/)

    const [method, typed, stranger] = await Promise.all([
      call('toil.ehco', '{}'),
      call('toil.refuse'),
      parley(['call', 'toil.echo', '--join', address, '--mesh', 'session']),
    ])
    assertError(method, 3, 'STA001', /has no method ehco/, /did you mean echo\?/)
    assertError(typed, 1, 'STA003', /the shelf is full/, /empty it/)
    assertError(stranger, 4, 'SEC001', /needs a secret/, /--secret-file/)
    const oneWay = await call('toil.crash', '--to', 'alpha')
    assert.deepEqual([oneWay.code, oneWay.stdout], [0, ''], oneWay.stderr)
    await until('it is logged', () => alpha.running.stderr().includes('the roof fell in'))

    const rival = await parley(['up', '--name', 'alpha', ...key])
    assertError(rival, 1, 'STA003', /is in use by process/)

    const refused = await parley(['up', '--name', 'outsider', '--mesh', 'session', '--join', address, '--json'])
    assertError(refused, 4, 'SEC001', /nobody lets this node in, and asking again would not help: .*needs a secret/)
    assert.match(refused.stderr, /^\{"error":\{"code":"SEC001".+"exitCode":4\}\}$/m)

    const [, port = ''] = /tcp\/(\d+)/.exec(address) ?? []
    const taken = await parley(['up', '--name', 'late', ...key, '--listen', `/ip4/127.0.0.1/tcp/${port}`])
    assertError(
      taken,
      1,
      'STA003',
      new RegExp(`^the port 127\\.0\\.0\\.1:${port} \\(tcp\\) is taken by another program$`),
      /0/,
    )

    const [first, second] = await Promise.all([leave(alpha.running), leave(beta.running)])
    assert.deepEqual([first.code, second.code], [0, 0], first.stderr + second.stderr)
    assert.equal(jsonLines(first.stdout).length, 1, 'nothing but its one line was printed')
  })

  test('nodes without a name get one each, and keep their identity when they come back', async () => {
    const one = await up()
    const two = await up()
    assert.deepEqual([one.facts.name, two.facts.name], ['node', 'node-2'])
    await Promise.all([leave(one.running), leave(two.running)])
    const again = await up()
    assert.equal(again.facts.id, one.facts.id)
    assert.deepEqual(
      [again.facts.addresses, again.facts.debugUrl],
      [one.facts.addresses, one.facts.debugUrl],
      'what others know, and bookmarks, go on leading to it',
    )
    again.running.child.kill('SIGTERM')
    assert.equal((await again.running.ended).code, 0)
  })

  test('nodes of one machine with the same secret find each other without an address, and others do not', async () => {
    await parley(['secret', '--out', 'local.key'])
    await parley(['secret', '--out', 'foreign.key'])
    const elsewhere = await mkdtemp(join(folder, 'elsewhere-'))
    const east = await up('--name', 'east', '--secret-file', 'local.key')
    const north = await up('--name', 'north', '--secret-file', 'foreign.key')
    const west = start(['up', '--json', '--name', 'west', '--secret-file', join(folder, 'local.key')], {
      cwd: elsewhere,
    })
    await firstLine(west)
    const names = async (): Promise<string[]> => {
      const { stdout } = await parley(['agents', '--node', 'east', '--json'])
      return z
        .array(z.object({ name: z.string() }))
        .parse(JSON.parse(stdout))
        .map(({ name }) => name)
    }
    await until('east knows west', async () => (await names()).includes('west'), 20_000)
    assert.deepEqual((await names()).sort(), ['east', 'west'])
    const { stdout } = await parley(['coordinator', 'status', '--data-dir', '.parley/west', '--json'], {
      cwd: elsewhere,
    })
    const mine = await parley(['coordinator', 'status', '--node', 'east', '--json'])
    const MeshId = z.object({ meshId: z.string() })
    assert.equal(MeshId.parse(JSON.parse(stdout)).meshId, MeshId.parse(JSON.parse(mine.stdout)).meshId)
    await Promise.all([leave(east.running), leave(north.running), leave(west)])
  })

  test('a signal takes a node out of service, lets its calls end, and ends it with 0 within 5 s', async () => {
    const node = await up('--name', 'leaver', '--serve', AGENT)
    const status = async (path: string): Promise<number> => (await fetch(`${node.facts.debugUrl}${path}`)).status
    const spinning = parley(['call', 'toil.spin', '{"ms":2000}', '--node', 'leaver'])
    await until('it is busy', async () => {
      const text = await (await fetch(`${node.facts.debugUrl}/api/agents`)).text()
      return /"load":1/.test(text)
    })
    assert.equal(await status('/readyz'), 200)
    const startedAt = performance.now()
    node.running.child.kill('SIGTERM')
    await until('it is not ready any more', async () => (await status('/readyz')) === 503, 1_500)
    assert.equal(await status('/healthz'), 200, 'it is still alive')
    const [called, ended] = await Promise.all([spinning, node.running.ended])
    assert.deepEqual([called.code, ended.code], [0, 0], called.stderr + ended.stderr)
    assert.ok(performance.now() - startedAt < 5_000)
  })

  test('the second signal ends a node at once, though its agent is busy', async () => {
    const busy = await up('--name', 'busy', '--serve', AGENT)
    const spinning = parley(['call', 'toil.spin', '{"ms":15000}', '--node', 'busy'])
    await until('it is busy', async () => {
      const text = await (await fetch(`${busy.facts.debugUrl}/api/agents`)).text()
      return /"load":1/.test(text)
    })
    busy.running.child.kill('SIGINT')
    await until('it is leaving', () => busy.running.stderr().includes('stopping'))
    const startedAt = performance.now()
    busy.running.child.kill('SIGINT')
    assert.equal((await busy.running.ended).code, 1)
    assert.ok(performance.now() - startedAt < 2000)
    assert.notEqual((await spinning).code, 0)
  })
})
