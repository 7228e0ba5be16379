/** Commands by the control socket: real processes, one mesh of two nodes with a secret, which no command is given. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as z from 'zod'
import { createMesh, Slice } from '../../node/index.ts'
import { isStillRunning, UNKNOWN_BIRTH } from '../../node/platform/process-identity.ts'
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
/** Another user of the machine. */
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

const Note = z.object({ control: z.string(), addresses: z.array(z.string()), pid: z.number(), peerId: z.string() })

/** A process that is over and that nobody has waited for is gone, too. */
const exited = async (pid: number): Promise<boolean> => !(await isStillRunning({ pid, birth: UNKNOWN_BIRTH }))

describe('commands by the control socket', { timeout: 90_000 }, () => {
  let folder: string
  let first: Running
  let commands: CommandFolder
  const parley: CommandFolder['parley'] = (...given) => commands.parley(...given)
  const start: CommandFolder['start'] = (...given) => commands.start(...given)
  const noteOf = async (name: string) =>
    Note.parse(JSON.parse(await readFile(join(folder, '.parley', name, 'node.json'), 'utf8')))
  const up = async (name: string, ...args: string[]): Promise<Running> => {
    // They are there for all of the tests.
    const env = { PARLEY_RESOURCES__CAPACITY__CPU: name === 'alpha' ? '4000' : '1000' }
    const running = start(['up', '--json', '--name', name, ...args], { limitMs: 90_000, env })
    await firstLine(running)
    return running
  }
  const alpha = (...args: string[]): string[] => [...args, '--node', 'alpha']
  const beta = (...args: string[]): string[] => [...args, '--node', 'beta']

  before(async () => {
    commands = await commandFolder()
    folder = commands.path
    await parley(['secret', '--out', 'mesh.key'])
    const key = ['--secret-file', 'mesh.key', '--mesh', 'controlled']
    first = await up('alpha', ...key, '--serve', AGENT)
    const [address = ''] = (await noteOf('alpha')).addresses
    await up('beta', ...key, '--join', address, '--no-debug')
    await until('beta is in', async () => (await parley(alpha('agents', '--json'))).stdout.includes('"beta"'))
  })
  after(() => commands.end())

  test('the socket is for this user alone, and another user is told so', async () => {
    const { control } = await noteOf('alpha')
    assert.equal((await stat(control)).mode & 0o777, 0o600)
    assert.equal((await stat(dirname(control))).mode & 0o777, 0o700)
    if (!isRoot || process.platform !== 'linux') return
    const connect = `require('node:net').connect(process.argv[1])
      .on('connect', () => { console.log('connected'); process.exit() }).on('error', (error) => { console.log(error.code) })`
    const as = (uid: number): Promise<string> =>
      new Promise((resolve, reject) => {
        const options = { uid, gid: uid, cwd: '/' }
        execFile(process.execPath, ['-e', connect, control], options, (error, out) =>
          error === null ? resolve(out.trim()) : reject(error),
        )
      })
    assert.deepEqual(await Promise.all([as(0), as(NOBODY)]), ['connected', 'EACCES'])
  })

  test('views come by the socket, also of a node without a debug endpoint', async () => {
    const [id, table, peers, top, topTable, several, typo] = await Promise.all([
      parley(beta('id', '--json')),
      parley(alpha('id')),
      parley(beta('peers', '--json')),
      parley(beta('top', '--once', '--json')),
      parley(alpha('top', '--once')),
      parley(['top', '--once']),
      parley(['id', '--node', 'alhpa']),
    ])
    const facts = JSON.parse(id.stdout)
    assert.deepEqual([facts.name, facts.mesh, facts.debugUrl], ['beta', 'controlled', undefined])
    assert.equal(facts.id, (await noteOf('beta')).peerId)
    for (const part of [/^name +alpha$/m, /^control +.+control\.sock$/m, /^listens on +\/ip4\//m])
      assert.match(table.stdout, part)
    assert.equal(JSON.parse(peers.stdout)[0].name, 'alpha')
    const [view] = jsonLines(top.stdout)
    const shown = z
      .object({ rates: z.object({ framesIn: z.number() }), agents: z.array(z.object({ name: z.string() })) })
      .parse(view)
    assert.deepEqual(shown.agents.map(({ name }) => name).sort(), ['alpha', 'beta'])
    for (const part of [/^alpha in the mesh controlled/, /^beta +alive/m, /coordination\.epoch/])
      assert.match(topTable.stdout, part)
    assertError(several, 2, 'MSG001', /2 nodes are running here: alpha, beta/, /--node alpha/)
    assertError(typo, 3, 'COM002', /no node called alhpa/, /did you mean alpha\?/)
  })

  test('a call goes through the running node, which needs no secret, and is cancelled by Ctrl-C', async () => {
    const [unary, stream, self, elsewhere, refused, unknown, nobody, bad] = await Promise.all([
      parley(beta('call', 'toil.echo', '{"text":"grüß dich"}')),
      parley(beta('call', 'toil.count', '{"to":3,"bytes":0}')),
      parley(alpha('call', 'toil.state', '--to', 'alpha')),
      parley(alpha('call', 'toil.echo', '{}', '--mesh', 'another')),
      parley(beta('call', 'toil.refuse')),
      parley(beta('call', 'toil.echo', '--to', 'alhpa')),
      parley(beta('call', 'soil.echo')),
      parley(beta('call', 'toil.count', '--all')),
    ])
    assert.deepEqual(jsonLines(unary.stdout), [{ text: 'grüß dich' }], unary.stderr)
    assert.equal(jsonLines(stream.stdout).length, 3, stream.stderr)
    assert.equal(jsonLines(self.stdout).length, 1, self.stderr)
    assertError(elsewhere, 2, 'MSG001', /alpha is in the mesh controlled, not in another/, /--join/)
    assertError(refused, 1, 'STA003', /the shelf is full/, /empty it/)
    assertError(unknown, 3, 'STA001', /no agent is called "alhpa"/, /did you mean alpha\?/)
    assertError(nobody, 3, 'COM004', /no agent offers soil/, /did you mean toil\?/)
    assertError(bad, 2, 'MSG001', /gives no single answer/, /--all/)

    const held = start(beta('call', 'toil.hold', '{"text":"this one"}'))
    const state = async (): Promise<string> => (await parley(beta('call', 'toil.state', '--json'))).stdout
    await until('it is at work', async () => (await state()).includes('"held":1'))
    held.child.kill('SIGINT')
    assertError(await held.ended, 1, 'COM001', /interrupted/)
    await until('it is cancelled', async () => (await state()).includes('"this one:'))
    assert.equal(jsonLines(first.stdout()).length, 1, 'the node that was asked prints nothing of it')
  })

  test('what is published on one node is heard on the other, from where one likes', async () => {
    const live = start(beta('sub', 'news.*', 'news.sport', '--count', '3', '--json'))
    assert.match(await firstLine(live), /"ready"/)
    const piped = await parley(alpha('pub', 'news.sport', '-', '--json'), { input: '{"n":1}\n\n{"n":2}\n{"n":3}' })
    const [told] = jsonLines(piped.stdout)
    assert.deepEqual(z.object({ published: z.number(), topic: z.string() }).parse(told), {
      published: 3,
      topic: 'news.sport',
    })
    const Event = z.object({ topic: z.string(), name: z.string(), data: z.object({ n: z.number() }) })
    const heard = z.array(Event).parse(jsonLines((await live.ended).stdout).slice(1))
    assert.deepEqual(
      heard.map(({ name, data }) => `${name} ${data.n}`),
      ['alpha 1', 'alpha 2', 'alpha 3'],
      'each once, though two patterns match it',
    )

    const many = await parley(alpha('pub', 'bulk.load', '{"x":"y"}', '--count', '2000'))
    assert.match(many.stdout, /^published 2000 events in \d/)
    const [earliest, last, report, words] = await Promise.all([
      parley(alpha('sub', 'bulk.#', '--from', 'earliest', '--count', '2000', '--json')),
      parley(alpha('sub', 'news.#', '--from', 'last:1', '--count', '1')),
      parley(alpha('sub', 'bulk.#', 'news.#', '--from', 'earliest', '--count', '2003', '--report-topics', '--json')),
      parley(alpha('sub', 'silence', '--for', '50')),
    ])
    assert.equal(jsonLines(earliest.stdout).length, 2001, earliest.stderr)
    assert.match(last.stdout, /^\d\d:\d\d:\d\d\.\d{3} news\.sport alpha \{"n":3\}\n$/)
    const rows = z.array(z.object({ topic: z.string(), events: z.number() })).parse(jsonLines(report.stdout)[0])
    assert.deepEqual(
      rows.map(({ topic, events }) => `${topic} ${events}`),
      ['bulk.load 2000', 'news.sport 3'],
    )
    assert.deepEqual([words.code, words.stdout], [0, ''])
  })

  test('what cannot be published, heard or sent is named, and exits 2 or 3', async () => {
    const cases: [string[], number, string, RegExp, RegExp][] = [
      [alpha('pub', 'news.*', '{}'), 2, 'MSG001', /wildcards are for subscriptions/, /words/],
      [alpha('pub', 'news', '{'), 2, 'MSG001', /the input is not JSON/, /single quotes/],
      [alpha('pub', 'news', '-', '--count', '2'), 2, 'MSG001', /--count repeats one event/, /leave it out/],
      [alpha('sub', 'a b'), 2, 'MSG001', /pattern "a b" is not usable/, /no spaces/],
      [alpha('sub', 'a', '--from', 'yesterday'), 2, 'MSG001', /no place to start from/, /./],
      [alpha('send', 'Order!'), 2, 'MSG001', /message type "Order!" is not usable/, /a-z/],
      [alpha('send', 'order', '--to', 'x', '--capability', 'y'), 2, 'MSG001', /cannot be used with/, /./],
      [alpha('send', 'order', '--to', 'beta', '--rebind'), 2, 'MSG001', /cannot be used with/, /./],
      [alpha('send', 'order', '--guarantee', 'SOMETIMES'), 2, 'MSG001', /Allowed choices/, /./],
      [alpha('send', 'order', '--to', 'gamma'), 3, 'STA001', /no agent is called "gamma"/, /there is|mean/],
      [alpha('send', 'tiol'), 3, 'COM004', /nobody receives messages of the type tiol/, /did you mean toil\?.+--keep/],
      [alpha('sub'), 2, 'MSG001', /no topic is named/, /--report-topics/],
      [
        alpha('call', 'toil.echo', '--to', 'gamma', '--json'),
        3,
        'STA001',
        /no agent is called "gamma"/,
        /there is|mean/,
      ],
      [alpha('bench', 'toil.echo', '--to', 'gamma'), 3, 'STA001', /no agent is called "gamma"/, /there is|mean/],
      [alpha('bench', 'toil.count', '--json'), 2, 'MSG001', /gives no single answer/, /one answer/],
      [['describe', 'tiol'], 3, 'STA001', /no agent and no protocol is called "tiol"/, /did you mean toil\?/],
      [alpha('journal', 'get', 'not/there'), 1, 'STA001', /no record "not\/there"/, /journal ls/],
      [alpha('sbu', 'a'), 2, 'MSG001', /unknown command 'sbu'/, /did you mean (sub|pub)/],
    ]
    await Promise.all(
      cases.map(async ([args, code, kind, message, hint]) =>
        assertError(await parley(args), code, kind, message, hint),
      ),
    )
    const half = await parley(alpha('pub', 'half.way'), { input: '' })
    assert.match(half.stdout, /^published /)
    const torn = await parley(alpha('pub', 'half.way', '-'), { input: '1\n2\nthree\n4\n' })
    assertError(torn, 2, 'MSG001', /line 3 of the input is not JSON/, /those before it were published/)
    const after = await parley(alpha('sub', 'half.#', '--from', 'earliest', '--count', '3', '--json'))
    assert.equal(jsonLines(after.stdout).length, 4)
  })

  test('a message is kept for a peer, and told as processed only when it was', async () => {
    const [kept, waited] = await Promise.all([
      parley(alpha('send', 'order.placed', '{"n":1}', '--to', 'beta', '--guarantee', 'EXACTLY_ONCE', '--json')),
      parley(alpha('send', 'order.placed', '{"n":2}', '--to', 'beta', '--wait', '300')),
    ])
    const { peerId } = await noteOf('beta')
    const sent = z.object({ id: z.string(), destinations: z.array(z.string()) }).parse(jsonLines(kept.stdout)[0])
    assert.deepEqual(sent.destinations, [peerId])
    assertError(waited, 1, 'COM001', /was not processed within 300 ms/, /kept/)
  })

  test('what waits is listed with whom it is for, since when and why, within 80 columns', async () => {
    const kept = await parley(alpha('send', 'order.unheard', '{}', '--keep', '--guarantee', 'EXACTLY_ONCE', '--rebind'))
    assert.match(kept.stdout, /is kept by alpha, for whoever offers it/, kept.stderr)
    const told = await parley(alpha('send', 'order.waiting', '{}', '--to', 'beta'))
    assert.match(told.stderr, /^note: beta does not say that it receives order\.waiting now/)
    const Entries = z.array(z.object({ type: z.string(), name: z.string(), waitsFor: z.string(), sentAt: z.number() }))
    const entries = Entries.parse(JSON.parse((await parley(alpha('outbox', '--json'))).stdout))
    assert.equal(entries.find(({ type }) => type === 'order.unheard')?.waitsFor, 'no-taker')
    assert.equal(entries.find(({ type }) => type === 'order.waiting')?.name, 'beta')
    const [table, agents, peers, wide] = await Promise.all([
      parley(alpha('outbox')),
      parley(alpha('agents')),
      parley(alpha('peers')),
      parley(alpha('peers', '--wide')),
    ])
    for (const { stdout } of [table, agents, peers])
      assert.ok(
        stdout.split('\n').every((line) => line.length <= 80),
        stdout,
      )
    assert.match(table.stdout, /nobody receives it/)
    assert.ok(wide.stdout.includes((await noteOf('beta')).peerId))
    assert.equal((await parley(beta('outbox'))).stdout, 'nothing waits\n')
  })

  test('with two nodes here what concerns their mesh is asked of either, and what concerns one node names both', async () => {
    const [agents, voters, status, put, published, outbox] = await Promise.all([
      parley(['agents', '--json']),
      parley(['coordinator', 'voters', '--json']),
      parley(['coordinator', 'status']),
      parley(['journal', 'put', 'asked/of', '"either"', '--json']),
      parley(['pub', 'either.way', '{}', '--json']),
      parley(['outbox']),
    ])
    const Names = z.array(z.object({ name: z.string() }))
    assert.deepEqual(
      Names.parse(JSON.parse(agents.stdout))
        .map(({ name }) => name)
        .toSorted(),
      ['alpha', 'beta'],
      agents.stderr,
    )
    assert.ok(Names.parse(JSON.parse(voters.stdout)).length > 0, voters.stderr)
    assert.match(status.stdout, /^this node +(alpha|beta) (coordinates|is a|has no seat)/m, status.stderr)
    for (const { code, stderr } of [put, published]) assert.equal(code, 0, stderr)
    assertError(outbox, 2, 'MSG001', /2 nodes are running here: alpha, beta/, /--node alpha/)
  })

  test('with two nodes here a call, a description and a bench go by one that knows whom they are about', async () => {
    const [called, agent, protocol, measured] = await Promise.all([
      parley(['call', 'toil.echo', '{"text":"by either"}']),
      parley(['describe', 'alpha']),
      parley(['describe', 'toil', '--json']),
      parley(['bench', 'toil.echo', '{"text":"x"}', '--for', '300', '--concurrency', '2', '--json']),
    ])
    assert.deepEqual(jsonLines(called.stdout), [{ text: 'by either' }], called.stderr)
    for (const part of [/^alpha 12D3\w+, alive$/m, /^toil 1\.2\.0$/m, /toil\.echo \(unary/, /takes \{/])
      assert.match(agent.stdout, part, agent.stderr)
    const Described = z.object({ kind: z.string(), agents: z.array(z.object({ name: z.string() })) })
    const described = Described.parse(JSON.parse(protocol.stdout))
    assert.deepEqual([described.kind, described.agents.map(({ name }) => name)], ['protocol', ['alpha']])
    const Result = z.object({
      type: z.literal('result'),
      calls: z.number().min(1),
      p50Ms: z.number(),
      errors: z.strictObject({}),
    })
    Result.parse(jsonLines(measured.stdout).at(-1))
  })

  test('records of the journal are written, read, listed, followed and deleted', async () => {
    const put = await parley(alpha('journal', 'put', 'test/a', '{"n":1}', '--if-version', '0', '--json'))
    const { version } = z.object({ version: z.number() }).parse(jsonLines(put.stdout)[0])
    const watching = start(beta('journal', 'watch', 'test/', '--count', '1', '--json'))
    assert.match(await firstLine(watching), /"type":"records".+"test\/a"/)
    const [stale, got, listed] = await Promise.all([
      parley(alpha('journal', 'put', 'test/a', '2', '--if-version', '0')),
      parley(beta('journal', 'get', 'test/a')),
      parley(beta('journal', 'ls', 'test/')),
    ])
    assertError(stale, 1, 'STA003', /./)
    assert.equal(got.stdout, '{"n":1}\n', got.stderr)
    const [all, own] = await Promise.all([parley(alpha('journal', 'ls')), parley(alpha('journal', 'ls', '$'))])
    assert.match(all.stdout, /^test\/a /m)
    assert.doesNotMatch(all.stdout, /^\$/m, "the mesh's own are not asked for")
    assert.match(own.stdout, /^\$/m)
    assert.match(listed.stdout, new RegExp(`^KEY +VERSION +VALUE\\ntest/a +${version} +\\{"n":1\\}\\n$`))
    assert.equal((await parley(beta('journal', 'rm', 'test/a'))).stdout, 'test/a is deleted\n')
    assert.equal((await parley(beta('journal', 'rm', 'test/a'))).stdout, 'there was no test/a\n')
    assert.match((await watching.ended).stdout, /"type":"change".+"key":"test\/a".+"isDeleted":true/)
  })

  test('what nodes have to give is shown, by name and by allocation', async () => {
    const { peerId } = await noteOf('alpha')
    await until('both offer what their configuration says', async () => {
      const all = JSON.parse((await parley(beta('resources', 'ls', '--json'))).stdout)
      return (
        all.length === 2 &&
        all.some((one: { owner: string; capacity: number }) => one.owner === peerId && one.capacity === 4_000)
      )
    })
    const [shown, none, bad] = await Promise.all([
      parley(alpha('resources', 'ls')),
      parley(alpha('resources', 'allocations')),
      parley(alpha('resources', 'ls', '--timeout', '0')),
    ])
    assert.match(shown.stdout, /^NODE +RESOURCE +STATUS +USED +CAPACITY$/m)
    assert.match(shown.stdout, new RegExp(`^…${peerId.slice(-8)} +cpu +available +0 +4000$`, 'm'))
    assert.match(shown.stdout, /^0 of 5000 cpu are used$/m)
    assert.equal(none.stdout, 'nothing is allocated, and nobody waits\n')
    assertError(bad, 2, 'MSG001', /timeout/)
  })

  test('plans are shown, and ended by the node that made them', async () => {
    const [none, unknown, notOwn] = await Promise.all([
      parley(alpha('plan', 'ls')),
      parley(alpha('plan', 'show', 'nobody')),
      parley(alpha('plan', 'cancel', 'a b')),
    ])
    assert.equal(none.stdout, 'there is no plan, and none was over within the last hour\n', none.stderr)
    assertError(unknown, 1, 'STA001', /no plan nobody/)
    assertError(notOwn, 2, 'MSG001', /id: use/)
    const made = await parley(
      alpha('plan', 'make', 'read all', 'nobody-reads', '{"page":1}', '{"page":2}', '--id', 'all'),
    )
    assert.match(made.stdout, /^all: read all$/m, made.stderr)
    await until('beta sees why it waits', async () =>
      /^all +error .* read all +no-agent/m.test((await parley(beta('plan', 'ls', '--wide'))).stdout),
    )
    assert.match((await parley(beta('plan', 'show', 'all'))).stdout, /coordination_failure +error +\d+ +no-agent/)
    assertError(await parley(beta('plan', 'cancel', 'all')), 4, 'SEC002', /somebody else/)
    assert.equal((await parley(alpha('plan', 'cancel', 'all'))).stdout, 'the plan all is canceled\n')
    const shown = JSON.parse((await parley(beta('plan', 'show', 'all', '--json'))).stdout)
    assert.deepEqual([shown.outcome, shown.tasks.length], ['canceled', 2])
  })

  test('coalitions are shown, formed by names, and say why they are not', async () => {
    const [none, unknown, bad, absent] = await Promise.all([
      parley(alpha('coalition', 'ls')),
      parley(alpha('coalition', 'leave', 'nobody')),
      parley(alpha('coalition', 'dissolve', 'a b')),
      parley(alpha('coalition', 'form', 'map it', 'beta', 'nobody')),
    ])
    assert.equal(none.stdout, 'there is no coalition, and none was dissolved within the last hour\n', none.stderr)
    assertError(unknown, 1, 'STA001', /no coalition nobody/)
    assertError(bad, 2, 'MSG001', /id: use/)
    assertError(absent, 3, 'COM002', /nobody/)
    // Nodes without a program take part in none.
    const refused = await parley(alpha('coalition', 'form', 'map it', 'beta', '--id', 'c1', '--ttl', '60000'))
    assertError(refused, 1, 'STA003', /0 of 1 agents joined, and it needs 1/)
    const listed = await parley(beta('coalition', 'ls', '--wide'))
    assert.match(listed.stdout, /^c1 +dissolved .* map it +0 of 1 agents joined/m, listed.stderr)
    assert.equal(JSON.parse((await parley(beta('coalition', 'ls', '--json'))).stdout)[0].state, 'dissolved')
    assertError(await parley(alpha('coalition', 'dissolve', 'c1')), 1, 'STA003', /is dissolved/)
  })

  test('a coalition of agents whose programs agree is formed, shown and dissolved', async () => {
    const [address = ''] = (await noteOf('alpha')).addresses
    const secret = (await readFile(join(folder, 'mesh.key'), 'utf8')).trim()
    const shared = { mesh: 'controlled', secret, join: [address], debug: false as const, log: 'silent' as const }
    await using gamma = await createMesh({ ...shared, name: 'gamma' })
    await using delta = await createMesh({ ...shared, name: 'delta' })
    for (const { coalitions } of [gamma, delta]) coalitions.onCoalition(() => undefined)
    for (const name of ['gamma', 'delta'])
      await until(`${name} is in`, async () =>
        (await parley(alpha('agents', '--json'))).stdout.includes(JSON.stringify(name)),
      )
    const form = ['coalition', 'form', 'map it', 'gamma', 'delta', '--ttl', '60000']
    const formed = await parley(alpha(...form, '--id', 'c2', '--leader', 'delta', '--wide'))
    assert.equal(formed.code, 0, formed.stderr)
    assert.match(formed.stdout, /^the coalition c2 is formed, until \d{4}-\d\d-\d\dT/)
    for (const line of [new RegExp(`^${gamma.self.id} *$`, 'm'), new RegExp(`^${delta.self.id} +leads$`, 'm')])
      assert.match(formed.stdout, line)
    assert.deepEqual([gamma.coalitions.isIn('c2'), delta.coalitions.isIn('c2')], [true, true])
    assert.match((await parley(beta('coalition', 'ls'))).stdout, /^c2 +active .* 2 +map it *$/m)
    const few = await parley(beta(...form, 'alpha', '--min', '2', '--json'))
    const { id, state, members, leader } = JSON.parse(few.stdout)
    assert.deepEqual([state, members.length, leader], ['active', 2, gamma.self.id], few.stderr)
    assertError(await parley(beta('coalition', 'leave', id)), 4, 'SEC002', /is no member/)
    const over = await parley(beta('coalition', 'dissolve', id, '--json'))
    assert.deepEqual(JSON.parse(over.stdout), { id }, over.stderr)
    const ended = await parley(alpha('coalition', 'dissolve', 'c2', '--reason', 'it is mapped'))
    assert.equal(ended.stdout, 'the coalition c2 is dissolved\n', ended.stderr)
    for (const { coalitions } of [gamma, delta])
      await until('nobody is in one', () => !coalitions.isIn('c2') && !coalitions.isIn(id))
  })

  test('tasks are submitted, shown, held, given what they want, and ended', async () => {
    const needs = ['--require', 'cpu=500', 'robot-arm=1']
    const submitted = await parley(
      alpha('tasks', 'submit', 'review', '{"page":1}', '--id', 'r1', '--priority', 'high', ...needs),
    )
    assert.equal(submitted.stderr, '')
    assert.match(submitted.stdout, /^r1 is queued$/m)
    const waits = await parley(beta('tasks', 'submit', 'review', '--id', 'r2', '--after', 'r1', '--json'))
    assert.deepEqual(JSON.parse(waits.stdout), { id: 'r2', status: 'submitted' })
    await until('it says that nobody takes it', async () =>
      (await parley(beta('tasks', 'ls', '--status', 'queued'))).stdout.includes('no-worker'),
    )
    const shown = await parley(beta('tasks', 'show', 'r1'))
    assert.match(shown.stdout, /^priority {2,}high$/m)
    assert.match(shown.stdout, /^requires {2,}cpu=500 robot-arm=1$/m)
    assert.match(shown.stdout, /^input {2,}\{"page":1\}$/m)
    const [cancel, pause, missing, wrong] = await Promise.all([
      parley(alpha('tasks', 'cancel', 'r1', '--reason', 'enough')),
      parley(alpha('tasks', 'pause', 'r2')),
      parley(alpha('tasks', 'show', 'nobody')),
      parley(alpha('tasks', 'submit', 'a b')),
    ])
    assert.equal(cancel.stdout, 'r1 is canceled\n')
    assertError(pause, 1, 'STA003', /cannot be paused|is failed/)
    assertError(missing, 1, 'STA001', /no task nobody/)
    assertError(wrong, 2, 'MSG001', /type/)
    assertError(await parley(alpha('tasks', 'submit', 'x', '--require', 'cpu')), 2, 'MSG001', /"cpu" is no amount/)
    const followed = await parley(beta('tasks', 'watch', 'r2'))
    assert.match(followed.stdout, /^r2 failed \(dependency-failed\)$/m)
    const end = await parley(alpha('tasks', 'submit', 'review', '--within', '300', '--wait', '--json'))
    assertError(end, 1, 'APP001', /is failed/)
    assert.match(end.stdout, /"reason":"deadline"/)
    const past = await parley(beta('tasks', 'show', 'r1'))
    assert.match(past.stdout, /^WHEN +ATTEMPT +WHAT +WHO$/m)
    assert.match(past.stdout, /Z +submitted +…\S{8}\n\S+Z +canceled: enough +…\S{8}$/m)
    const details = JSON.parse((await parley(beta('tasks', 'show', 'r2', '--json'))).stdout)
    assert.deepEqual(
      details.history.entries.map(({ what }: { what: string }) => what),
      ['submitted', 'failed'],
    )
    const again = await parley(beta('tasks', 'retry', 'r1', '--id', 'r3'))
    assert.equal(again.stdout, 'r3 is queued\n')
    assert.match((await parley(alpha('tasks', 'show', 'r3'))).stdout, /^input {2,}\{"page":1\}$/m)
    const [open, gone] = await Promise.all([
      parley(alpha('tasks', 'retry', 'r3')),
      parley(alpha('tasks', 'retry', 'nobody')),
    ])
    assertError(open, 1, 'STA003', /is queued, and is not submitted again/)
    assertError(gone, 1, 'STA001', /no task nobody/)
    const board = await parley(alpha('parts', 'tasks', 'board', '--wide'))
    assert.match(board.stdout, /^Waiting \(1\) +r3 +review, queued/m)
    assert.match(board.stdout, /^Ended lately \(\d\) +r1 +review, canceled, enough/m)
    const line = await parley(alpha('parts', 'tasks', 'timeline', 'r1'))
    assert.match(line.stdout, /Z submitted\n\S+Z canceled: enough\n$/)
    assertError(await parley(alpha('parts', 'tasks', 'timeline')), 2, 'MSG001', /shows one task/)
    assertError(await parley(alpha('parts', 'tasks', 'timeline', 'nobody')), 1, 'STA001', /no task nobody/)
    const given = await parley(alpha('tasks', 'provide', 'r1', 'approval', 'true'))
    assertError(given, 1, 'STA003', /canceled/)
  })

  test('what a task has used of its budget, and has left, is shown', async () => {
    const secret = (await readFile(join(folder, 'mesh.key'), 'utf8')).trim()
    const { addresses } = await noteOf('alpha')
    await using gamma = await createMesh({ name: 'gamma', mesh: 'controlled', secret, join: addresses, log: 'silent' })
    const of = new Slice({ amounts: { tokens: 100, fanOut: 2 } })
    await gamma.tasks.submit({ id: 'b1', type: 'review', budget: { of, amounts: { tokens: 60 } } })
    const shown = await parley(alpha('tasks', 'show', 'b1'))
    assert.match(shown.stdout, /^budget {2,}0 tokens, 0 fanOut used of 60 tokens, 0 fanOut$/m)
    assert.match(shown.stdout, /^left of it {2,}60 tokens, 0 fanOut$/m)
    const details = JSON.parse((await parley(beta('tasks', 'show', 'b1', '--json'))).stdout)
    const left = { tokens: 60, fanOut: 0 }
    assert.deepEqual(details.task.budget, { amounts: left, used: { tokens: 0, fanOut: 0 }, left })
    await gamma.tasks.get('b1').cancel()
    await until('it is back', () => of.remaining().tokens === 100)
  })

  test('tasks are scheduled; schedules are listed, held and removed', async () => {
    const times = ['--cron', '0  3 * * *', '--zone', 'Europe/Berlin', '--misfire', 'all:3', '--overlap', 'skip']
    const made = await parley(
      alpha('tasks', 'schedule', 'nightly', 'review', '{"page":2}', ...times, '--within', '60000'),
    )
    assert.deepEqual([made.stderr, made.stdout], ['', 'nightly is scheduled\n'])
    const listed = await until('its next time is known', async () => {
      const { stdout } = await parley(beta('tasks', 'schedules', '--json'))
      const [one] = z.array(z.record(z.string(), z.unknown())).parse(JSON.parse(stdout))
      return one?.nextAt !== undefined && one
    })
    assert.deepEqual(
      [listed.id, listed.cron, listed.zone, listed.misfire, listed.overlap, listed.fired, listed.isPaused],
      ['nightly', '0 3 * * *', 'Europe/Berlin', { all: 3 }, 'skip', 0, false],
    )
    assert.match(
      (await parley(beta('tasks', 'schedules', '--wide'))).stdout,
      /nightly +review +0 3 \* \* \* Europe\/Berlin/,
    )
    const paused = await parley(beta('tasks', 'pause-schedule', 'nightly'))
    assert.equal(paused.stdout, 'nightly is paused\n')
    assert.match((await parley(alpha('tasks', 'schedules'))).stdout, /paused/)
    assert.equal((await parley(alpha('tasks', 'resume-schedule', 'nightly'))).stdout, 'nightly goes on\n')
    assert.equal((await parley(alpha('tasks', 'unschedule', 'nightly', '--json'))).stdout, '{"id":"nightly"}\n')
    assert.equal((await parley(alpha('tasks', 'schedules'))).stdout, 'no schedules\n')
    const [missing, none, rule, time] = await Promise.all([
      parley(alpha('tasks', 'unschedule', 'nightly')),
      parley(alpha('tasks', 'schedule', 'x', 'review')),
      parley(alpha('tasks', 'schedule', 'x', 'review', '--every', '5000', '--misfire', 'some')),
      parley(alpha('tasks', 'schedule', 'x', 'review', '--at', 'noon')),
    ])
    assertError(missing, 1, 'STA001', /no schedule nightly/)
    assertError(none, 2, 'MSG001', /0 of cron, everyMs and at/)
    assertError(rule, 2, 'MSG001', /--misfire some/)
    assertError(time, 2, 'MSG001', /--at noon/)
  })

  test('topics that are alive are reported without a pattern', async () => {
    const report = start(alpha('sub', '--report-topics', '--from', 'earliest', '--for', '300', '--json'))
    const rows = z.array(z.object({ topic: z.string() })).parse(jsonLines((await report.ended).stdout)[0])
    assert.ok(rows.some(({ topic }) => topic === 'news.sport'))
  })

  test('a program answers a skill: values, streams, failures, limits', async () => {
    const { addresses } = await noteOf('alpha')
    const program = join(folder, 'skill.mjs')
    await writeFile(
      program,
      `const { what, text, n } = JSON.parse(await new Response(process.stdin).text())
       if (what === 'env') console.log(JSON.stringify(Object.keys(process.env).filter((name) => name.startsWith('PARLEY_'))))
       if (what === 'args') console.log(JSON.stringify(process.argv.slice(2)))
       if (what === 'upper') console.log(JSON.stringify(text.toUpperCase()))
       if (what === 'fail') { console.error('first line'); console.error('no paper left'); process.exit(3) }
       if (what === 'text') console.log('hello')
       if (what === 'much') process.stdout.write(JSON.stringify('x'.repeat(n)))
       if (what === 'count') for (let i = 1; i <= n; i += 1) console.log(JSON.stringify({ i }))`,
    )
    const secret = (await readFile(join(folder, 'mesh.key'), 'utf8')).trim()
    const options = { env: { PARLEY_SECRET: secret } }
    const command = ['--command', process.execPath, program]
    const serve = (...args: string[]): Running => start(['serve', ...args], options)
    const limits = ['--max-output', '1000', '--json']
    const values = serve('skill', '--node', 'alpha', ...limits, ...command, '--loud', '-x')
    const streams = serve(
      'lines.each',
      '--join',
      addresses[0] ?? '',
      '--mesh',
      'controlled',
      '--stream',
      '--json',
      ...command,
    )
    assert.deepEqual(z.object({ name: z.string(), skill: z.string() }).parse(JSON.parse(await firstLine(values))), {
      name: 'skill',
      skill: 'skill.run',
    })
    const slow = serve('slow', '--node', 'alpha', '--timeout', '200', '--json', '--command', 'sleep', '60')
    await Promise.all([firstLine(streams), firstLine(slow)])
    await until('alpha knows them', async () => {
      const { stdout } = await parley(alpha('agents', '--json'))
      return ['"skill"', '"lines"', '"slow"'].every((name) => stdout.includes(name))
    })
    const ask = (input: unknown, ...args: string[]): Promise<Ended> =>
      parley(alpha('call', 'skill.run', JSON.stringify(input), ...args))
    const [upper, args, env, fails, text, fits, much, hangs, items, broken] = await Promise.all([
      ask({ what: 'upper', text: 'quiet' }),
      ask({ what: 'args' }),
      ask({ what: 'env' }),
      ask({ what: 'fail' }),
      ask({ what: 'text' }),
      ask({ what: 'much', n: 998 }),
      ask({ what: 'much', n: 999 }),
      parley(alpha('call', 'slow.run')),
      parley(alpha('call', 'lines.each', '{"what":"count","n":5}')),
      parley(alpha('call', 'lines.each', '{"what":"fail"}')),
    ])
    assert.deepEqual(jsonLines(upper.stdout), ['QUIET'], upper.stderr)
    assert.deepEqual(jsonLines(args.stdout), [['--loud', '-x']])
    assert.deepEqual(z.array(z.array(z.string())).parse(jsonLines(env.stdout))[0]?.sort(), [
      'PARLEY_CALLER',
      'PARLEY_SKILL',
    ])
    assertError(fails, 1, 'APP001', /ended with exit code 3: no paper left/, /stderr/)
    assertError(text, 1, 'APP001', /wrote something that is not JSON/)
    assert.equal(fits.stdout.length, 1001)
    assertError(much, 1, 'APP001', /wrote more than 1000 bytes/, /--max-output/)
    assertError(hangs, 1, 'COM001', /took longer than 200 ms/, /--timeout/)
    assert.deepEqual(
      jsonLines(items.stdout),
      [1, 2, 3, 4, 5].map((i) => ({ i })),
    )
    assertError(broken, 1, 'APP001', /no paper left/)

    const pids = join(folder, 'pids')
    const shell = serve(
      'tree',
      '--concurrency',
      '1',
      '--queue',
      '0',
      '--node',
      'alpha',
      '--json',
      '--command',
      'sh',
      '-c',
      `sleep 60 & echo $! $$ > ${pids}; wait`,
    )
    await firstLine(shell)
    await until('alpha knows it', async () => (await parley(alpha('agents', '--json'))).stdout.includes('"tree"'))
    const cancelled = start(alpha('call', 'tree.run'))
    const running = await until('it runs', async () => {
      const written = await readFile(pids, 'utf8').catch(() => '')
      return written.endsWith('\n') ? written : undefined
    })
    assertError(await parley(alpha('call', 'tree.run')), 1, 'COM003', /./)
    cancelled.child.kill('SIGINT')
    await cancelled.ended
    const group = running.trim().split(' ').map(Number)
    await until('the program and what it started are gone', async () =>
      (await Promise.all(group.map(exited))).every((gone) => gone),
    )
    shell.child.kill('SIGTERM')
    assert.equal((await shell.ended).code, 0)
  })
})
